"""Routes that relay the public operations of the services."""

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
    """A route for every operation; the services' documents describe them."""
    relays = APIRouter(include_in_schema=False)
    for operation in operations:
        endpoint = _with_token(operation) if operation.needs_token else _open(operation)
        counted = [COUNTED_STREAM] if operation.is_stream else []
        relays.add_api_route(
            operation.route, endpoint, methods=[operation.method], name=operation.name, dependencies=counted
        )
    return relays


def _with_token(operation: Operation) -> Callable[..., Any]:
    # The token is verified here, its scopes by the service. Before a change auth confirms the access; it checks its own
    # operations itself.
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
        if operation.is_open_write:
            resources.logins.take(address_group(client_address(request)))
        return await resources.upstreams.of(operation.service).relay(request, operation)

    return relay
