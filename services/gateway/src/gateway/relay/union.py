"""The gateway's OpenAPI document: its own routes and the public operations of the services."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

from common.web.answers import Responses, add_problems, operations
from common.web.errors import MEDIA_TYPE
from gateway.errors import (
    BadUpstreamAnswer,
    BodyTooLarge,
    BodyTooSlow,
    RateLimited,
    ServiceUnavailable,
    TooManyLogins,
    TooManyStreams,
)

from .surface import Document, Documents, Operation

_SCHEMAS = "#/components/schemas/"


def passed_on(operation: Operation, *, only_problems: bool = False) -> Responses:
    """The answers of a service's operation, for a gateway route that passes them on."""
    responses = _with_names(operation.described["responses"], lambda name: f"{operation.service}.{name}")
    return {
        int(status): said
        for status, said in responses.items()
        if status != "default" and (status >= "4" or not only_problems)
    }


def body_of(operation: Operation) -> dict[str, Any]:
    """The body of a service's operation, for the `openapi_extra` of a gateway route that passes it on."""
    described = {"requestBody": operation.described["requestBody"]}
    renamed: dict[str, Any] = _with_names(described, lambda name: f"{operation.service}.{name}")
    return renamed


def united(own: Document, relayed: Sequence[Operation], documents: Documents) -> Document:
    """`own` with the relayed operations, the components they need and the problems that the gateway adds.

    Of different components with one name, the gateway's keeps it, then the first service's; the others get their
    service's name as a prefix. The same holds for operation ids. `own` may refer to a service's component as
    `<service>.<name>`.
    """
    document = deepcopy(own)
    components = document.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    schemes: dict[str, Any] = components.setdefault("securitySchemes", {})
    ids = {operation["operationId"] for operation in operations(own)}
    for service, source in documents.items():
        theirs: dict[str, Any] = source.get("components", {}).get("schemas", {})
        public = [operation for operation in relayed if operation.service == service]
        prefix = f"{service}."
        wanted = {name.removeprefix(prefix) for name in _names(own) if name.startswith(prefix)}
        reached = _reached(theirs, wanted.union(*(_names(operation.described) for operation in public)))
        names = _chosen_names(service, theirs, reached, schemas)
        for name in reached:
            schemas.setdefault(names[name], _with_names(theirs[name], names.__getitem__))
        document["paths"] = _with_names(
            document["paths"], partial(_plain, {prefix + name: names[name] for name in names})
        )
        for operation in public:
            described = _with_names(operation.described, names.__getitem__)
            if described["operationId"] in ids:
                described["operationId"] = f"{service}_{described['operationId']}"
            ids.add(described["operationId"])
            _add_gateway_problems(operation, described)
            document["paths"].setdefault(operation.path, {})[operation.method.lower()] = described
        for name, scheme in source.get("components", {}).get("securitySchemes", {}).items():
            schemes.setdefault(name, scheme)
    for described in operations(document):
        add_problems(described, RateLimited)
        _set_service(described)
    components["schemas"] = dict(sorted(schemas.items()))
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _add_gateway_problems(operation: Operation, described: dict[str, Any]) -> None:
    """Add the problems that can occur on the way to the service."""
    add_problems(described, BadUpstreamAnswer, ServiceUnavailable)
    if operation.takes_body:
        add_problems(described, BodyTooLarge, BodyTooSlow)
    if operation.is_open_write:
        add_problems(described, TooManyLogins)
    if operation.is_stream:
        add_problems(described, TooManyStreams)
    _set_service(described)


def _set_service(described: dict[str, Any]) -> None:
    """Name the gateway as the service of the problems that were added."""
    for response in described["responses"].values():
        for example in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).values():
            example["value"].setdefault("service", "gateway")


def _chosen_names(service: str, theirs: dict[str, Any], reached: set[str], taken: dict[str, Any]) -> dict[str, str]:
    """The names of a service's components: their own, unless another component has that name."""
    clashing: set[str] = set()
    while True:
        more = {
            name
            for name in reached - clashing
            if name in taken
            and (json.dumps(taken[name], sort_keys=True) != json.dumps(theirs[name], sort_keys=True))
            | bool(set(_names(theirs[name])) & clashing)
        }
        if not more:
            break
        clashing |= more
    return {name: f"{service.capitalize()}{name}" if name in clashing else name for name in reached}


def _reached(schemas: dict[str, Any], names: Iterable[str]) -> set[str]:
    """These components and all components that they refer to."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _names(schemas[name])
    return reached


def _plain(chosen: Mapping[str, str], name: str) -> str:
    return chosen.get(name, name)


def _names(value: Any) -> Iterator[str]:
    """The components that a part of a document refers to."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)
    elif isinstance(value, str) and value.startswith(_SCHEMAS):
        yield value.removeprefix(_SCHEMAS)


def _with_names(value: Any, name_of: Callable[[str], str]) -> Any:
    """A copy of a part of a document with other component names."""
    if isinstance(value, dict):
        return {key: _with_names(inner, name_of) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_names(inner, name_of) for inner in value]
    if isinstance(value, str) and value.startswith(_SCHEMAS):
        return _SCHEMAS + name_of(value.removeprefix(_SCHEMAS))
    return value
