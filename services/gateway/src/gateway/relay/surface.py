"""The public operations of the services, read from their stored OpenAPI documents.

`scripts/contracts.py` writes the documents; its `--check` finds those that are out of date.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

# Of two different components with the same name, that of the later service is renamed.
SERVICES = ("auth", "jobs", "metadata", "cleanup")
# Operations with this tag are for other services and not public.
INTERNAL = "internal"

EVENT_STREAM = "text/event-stream"
METHODS = ("get", "head", "put", "post", "delete", "patch")
_PARAMETER = re.compile(r"{([^}]+)}")

Document = dict[str, Any]
Documents = Mapping[str, Document]


class AmbiguousSurfaceError(Exception):
    """Two services have the same method and path."""


@dataclass(frozen=True)
class Operation:
    """One operation in a service's document."""

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
        """Whether it requires a token."""
        return bool(self.described.get("security"))

    @property
    def takes_body(self) -> bool:
        """Whether a request may carry a body."""
        return "requestBody" in self.described

    @property
    def is_stream(self) -> bool:
        """Whether its answer is an event stream."""
        return EVENT_STREAM in self.media_types

    @property
    def is_open_write(self) -> bool:
        """Whether it changes something without a token: login, registration."""
        return not self.needs_token and self.method not in {"GET", "HEAD"}

    @property
    def route(self) -> str:
        """The path for the router; a parameter of the format `path` may contain slashes."""
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
        """The media types of its successful answers; errors are always problem documents."""
        responses = self.described["responses"]
        return frozenset(kind for status in responses if status < "3" for kind in responses[status].get("content", ()))


def stored() -> Documents:
    """The services' documents."""
    folder = files(__package__) / "documents"
    return {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in SERVICES}


def operation(documents: Documents, service: str, method: str, path: str) -> Operation:
    """One operation, internal or not; raises KeyError if the service does not have it."""
    return Operation(service, method.upper(), path, documents[service]["paths"][path][method.lower()])


def public(documents: Documents, own: Iterable[tuple[str, str]]) -> list[Operation]:
    """The services' public operations without those that the gateway answers itself, in matching order.

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
            raise AmbiguousSurfaceError(f"{each.method} {each.path} is an operation of {holder} and {each.service}")
    # A constant is matched before a parameter in the same position: /jobs/summary before /jobs/{job_id}.
    return sorted(found, key=lambda each: ([part.startswith("{") for part in each.path.split("/")], each.path))


def _operations(documents: Documents) -> Iterable[Operation]:
    for service, document in documents.items():
        for path, described in document["paths"].items():
            for method in METHODS:
                if method in described:
                    yield operation(documents, service, method, path)


def _key(method: str, path: str) -> tuple[str, str]:
    return method.upper(), _PARAMETER.sub("{}", path)
