"""The limit on requests: counted per user, and per address without a valid token.

Plain ASGI middleware inside the authentication and around all routes. Only a verified token names a user: a forged one
could use up another user's share.
"""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from common.web.addresses import address_group, client_address
from gateway.errors import RateLimited
from gateway.settings import Settings

from .credentials import identity_of
from .limits import RateLimit

# Monitoring must not be limited.
_UNCOUNTED = ("/health",)


class RequestLimits:
    """Counts the requests of one gateway process."""

    def __init__(self, settings: Settings) -> None:
        self._exempts_admins = settings.rate_limits_exempt_admins
        self._users = RateLimit(settings.requests_per_minute, refusal=RateLimited, whose="of yours")
        self._addresses = RateLimit(settings.requests_per_minute_per_address, refusal=RateLimited)

    def take(self, connection: HTTPConnection) -> None:
        """Count one request; raises RateLimited with Retry-After."""
        identity = identity_of(connection)
        if identity is None:
            self._addresses.take(address_group(client_address(connection)))
        elif not (identity.is_admin and self._exempts_admins):
            self._users.take(str(identity.user_id))


class Throttle:
    """Refuses requests beyond the limits of `app.state.request_limits`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not scope["path"].startswith(_UNCOUNTED):
            limits: RequestLimits = scope["app"].state.request_limits
            limits.take(HTTPConnection(scope))
        await self._app(scope, receive, send)
