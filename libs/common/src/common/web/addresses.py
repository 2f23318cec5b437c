"""The verified origin of a request: for rate limits, the audit trail and internal operations."""

import hmac
import ipaddress
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import Forbidden

#: The header in which the gateway sends INTERNAL_TOKEN; it removes the header of a client.
INTERNAL_HEADER: Final = "x-verbatim-internal"
UNKNOWN = "unknown"
# A household or a server has at least a /64, so a rate limit per IPv6 address would have no effect.
_IPV6_PREFIX = 64


class InternalOnly(Forbidden):
    """The operation is only for the gateway, which sends a secret."""

    code = "internal_only"
    title = "Not a public operation"


class FromGateway:
    """Recognises the gateway by its secret, and accepts a client's address in X-Forwarded-For from the gateway only.

    The network address cannot identify it: all processes of a machine, and all pods behind a proxy, share an address.
    """

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            shown = headers.get(INTERNAL_HEADER, "").encode("latin-1")
            is_gateway = hmac.compare_digest(shown, self._secret)
            scope.setdefault("state", {})["is_gateway"] = is_gateway
            if is_gateway and (address := headers.get("x-forwarded-for")):
                scope["client"] = (address, 0)
        await self._app(scope, receive, send)


async def from_gateway(request: Request) -> None:
    """A dependency of internal operations. Raises InternalOnly unless the gateway sent the request."""
    if not getattr(request.state, "is_gateway", False):
        raise InternalOnly("This operation is open to the gateway only.")


def client_address(connection: HTTPConnection) -> str:
    """The address of the client, as set by FromGateway or by uvicorn's ProxyHeadersMiddleware."""
    return connection.client.host if connection.client else UNKNOWN


def address_group(address: str) -> str:
    """The rate-limit key of a client: an IPv4 address, the /64 network of an IPv6 address, anything else as it is."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)
