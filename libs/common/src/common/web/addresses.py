"""Where a request comes from, as far as it is believed: for rate limits, the audit trail and internal operations."""

import hmac
import ipaddress
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import Forbidden

#: The header in which the gateway shows INTERNAL_TOKEN; it never passes a client's own on.
INTERNAL_HEADER: Final = "x-verbatim-internal"
UNKNOWN = "unknown"
# A household or a server gets a /64 at least, so one IPv6 client has more addresses than any table has rows.
_IPV6_PREFIX = 64


class InternalOnly(Forbidden):
    """The operation is there for the gateway, which shows a secret."""

    code = "internal_only"
    title = "Not a public operation"


class FromGateway:
    """Recognises the gateway by the secret that it shows; believes the client's address that it names, nobody else's.

    A network address proves nothing: on one machine every process has the same, and so has every pod behind a proxy.
    """

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            shown = headers.get(INTERNAL_HEADER, "").encode("latin-1")
            is_gateway = hmac.compare_digest(shown, self._secret)
            scope.setdefault("state", {})["is_gateway"] = is_gateway
            if is_gateway and (address := headers.get("x-forwarded-for")):
                scope["client"] = (address, 0)
        await self._app(scope, receive, send)


async def from_gateway(request: Request) -> None:
    """A dependency of internal operations. Raises InternalOnly unless the gateway asks."""
    if not getattr(request.state, "is_gateway", False):
        raise InternalOnly("This operation is open to the gateway only.")


def client_address(connection: HTTPConnection) -> str:
    """The address of the client, as FromGateway or uvicorn's ProxyHeadersMiddleware have found it behind a proxy."""
    return connection.client.host if connection.client else UNKNOWN


def address_group(address: str) -> str:
    """What counts as one client: an IPv4 address, the /64 network of an IPv6 address, anything else as it is."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)
