"""One route for every public operation of the services behind the gateway."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from common.web import Identity
from common.web.addresses import address_group, client_address
from common.web.identity import READING_METHODS, limited_identity
from gateway.edge.credentials import confirm_access
from gateway.relay.surface import Operation

from .dependencies import COUNTED_STREAM, ResourcesDep


def router(operations: Iterable[Operation]) -> APIRouter:
    """Routes that pass requests on; the document describes them in the services' own words."""
    made = APIRouter(include_in_schema=False)
    for operation in operations:
        endpoint = _with_token(operation) if operation.needs_token else _open(operation)
        counted = [COUNTED_STREAM] if operation.is_stream else []
        made.add_api_route(
            operation.route, endpoint, methods=[operation.method], name=operation.name, dependencies=counted
        )
    return made


def _with_token(operation: Operation) -> Callable[..., Any]:
    # That the token is genuine is checked here; what its scopes allow is for the service to say.
    # What changes something outlasts the token: auth, who decides about its own operations itself, is asked first.
    confirmed = operation.method not in READING_METHODS and operation.service != "auth"

    async def relay(
        request: Request, _: Annotated[Identity, Depends(limited_identity)], resources: ResourcesDep
    ) -> Response:
        if confirmed:
            await confirm_access(request)
        return await resources.upstreams.of(operation.service).relay(request, operation)

    return relay


def _open(operation: Operation) -> Callable[..., Any]:
    async def relay(request: Request, resources: ResourcesDep) -> Response:
        if operation.is_open_door:
            resources.logins.take(address_group(client_address(request)))
        return await resources.upstreams.of(operation.service).relay(request, operation)

    return relay
