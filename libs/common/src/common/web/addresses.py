"""Where a request comes from, as far as it is believed: for rate limits and the audit trail."""

import ipaddress

from starlette.requests import HTTPConnection

UNKNOWN = "unknown"
# A household or a server gets a /64 at least, so one IPv6 client has more addresses than any table has rows.
_IPV6_PREFIX = 64


def client_address(connection: HTTPConnection) -> str:
    """The address of the client; behind proxies it takes uvicorn's ProxyHeadersMiddleware to be the true one."""
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
