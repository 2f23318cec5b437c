"""What the services behind the gateway offer to the public, read from their documents, which are stored beside it.

`scripts/contracts.py` stores them, and its `--check` finds those that are no longer what a service says.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

# In this order the services name their components: of two different ones with the same name, the later is renamed.
SERVICES = ("auth", "jobs", "metadata", "cleanup")
# Operations with this tag are for other services and never reachable from outside.
INTERNAL = "internal"

EVENT_STREAM = "text/event-stream"
METHODS = ("get", "head", "put", "post", "delete", "patch")
_PARAMETER = re.compile(r"{([^}]+)}")

Document = dict[str, Any]
Documents = Mapping[str, Document]


class AmbiguousSurfaceError(Exception):
    """Two services offer the same method and path."""


@dataclass(frozen=True)
class Operation:
    """One operation of a service as its document describes it."""

    service: str
    method: str
    path: str
    described: dict[str, Any]

    @property
    def name(self) -> str:
        """The operation's id in its service's document."""
        return str(self.described["operationId"])

    @property
    def needs_token(self) -> bool:
        """Whether only signed-in users may call it."""
        return bool(self.described.get("security"))

    @property
    def takes_body(self) -> bool:
        """Whether a request may carry a body."""
        return "requestBody" in self.described

    @property
    def is_stream(self) -> bool:
        """Whether its answer goes on for as long as something happens."""
        return EVENT_STREAM in self.media_types

    @property
    def is_open_door(self) -> bool:
        """Whether strangers can make it change or try something: logging in, registering."""
        return not self.needs_token and self.method not in {"GET", "HEAD"}

    @property
    def route(self) -> str:
        """The path as the router wants it; a parameter of the format `path` may contain slashes."""
        deep = {
            each["name"]
            for each in self.described.get("parameters", ())
            if each["in"] == "path" and each["schema"].get("format") == "path"
        }
        return _PARAMETER.sub(lambda found: f"{{{found[1]}:path}}" if found[1] in deep else found[0], self.path)

    def parameters(self, place: str) -> frozenset[str]:
        """The names of its parameters in `query` or `header`."""
        return frozenset(each["name"] for each in self.described.get("parameters", ()) if each["in"] == place)

    @property
    def media_types(self) -> frozenset[str]:
        """What it answers when all is well; errors are problem documents everywhere."""
        responses = self.described["responses"]
        return frozenset(kind for status in responses if status < "3" for kind in responses[status].get("content", ()))


def stored() -> Documents:
    """The services' documents."""
    folder = files(__package__) / "documents"
    return {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in SERVICES}


def operation(documents: Documents, service: str, method: str, path: str) -> Operation:
    """One operation, internal or not; raises KeyError when the service has none such."""
    return Operation(service, method.upper(), path, documents[service]["paths"][path][method.lower()])


def public(documents: Documents, own: Iterable[tuple[str, str]]) -> list[Operation]:
    """The services' public operations but for those that the gateway answers itself, in the order of matching.

    `own` holds the gateway's methods and paths. Raises AmbiguousSurfaceError.
    """
    taken = {_key(method, path): "gateway" for method, path in own}
    found = []
    for each in _operations(documents):
        if INTERNAL in each.described.get("tags", ()):
            continue
        holder = taken.setdefault(_key(each.method, each.path), each.service)
        if holder == each.service:
            found.append(each)
        elif holder != "gateway":
            raise AmbiguousSurfaceError(f"{each.method} {each.path} is offered by {holder} and {each.service}")
    # A fixed word is tried before a parameter in the same place: /jobs/summary before /jobs/{job_id}.
    return sorted(found, key=lambda each: ([part.startswith("{") for part in each.path.split("/")], each.path))


def _operations(documents: Documents) -> Iterable[Operation]:
    for service, document in documents.items():
        for path, described in document["paths"].items():
            for method in METHODS:
                if method in described:
                    yield operation(documents, service, method, path)


def _key(method: str, path: str) -> tuple[str, str]:
    return method.upper(), _PARAMETER.sub("{}", path)
