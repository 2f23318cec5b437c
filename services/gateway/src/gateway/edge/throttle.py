"""How often anybody may ask for anything: counted per user, and per address where nobody is signed in.

Plain ASGI behind what checks credentials, around all routes. A token is believed here only once it is verified, or
whoever names somebody else in a forged one could use up their share.
"""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from common.web import Identity, TokenVerifier, Unauthorized, Unavailable, bearer_token
from common.web.addresses import address_group, client_address
from gateway.errors import RateLimited
from gateway.settings import Settings

from .credentials import LOGIN_PATHS
from .limits import RateLimit

# Those who watch whether the platform lives are never told that they ask too often.
_UNCOUNTED = ("/health",)


class RequestLimits:
    """What one gateway process counts."""

    def __init__(self, settings: Settings) -> None:
        self._exempts_admins = settings.rate_limits_exempt_admins
        self._users = RateLimit(settings.requests_per_minute, refusal=RateLimited, whose="of yours")
        self._addresses = RateLimit(settings.requests_per_minute_per_address, refusal=RateLimited)

    async def take(self, connection: HTTPConnection) -> None:
        """Count one request; raises RateLimited with Retry-After."""
        identity = await self._identity(connection)
        if identity is None:
            self._addresses.take(address_group(client_address(connection)))
        elif not (identity.is_admin and self._exempts_admins):
            self._users.take(str(identity.user_id))

    async def _identity(self, connection: HTTPConnection) -> Identity | None:
        token = bearer_token(connection.headers.get("authorization"))
        if token is None or connection.scope["path"] in LOGIN_PATHS:
            return None
        try:
            verifier: TokenVerifier = connection.app.state.verifier
            return await verifier.verify(token, None)
        except (Unauthorized, Unavailable):
            return None


class Throttle:
    """Refuses those who ask too often; `app.state.request_limits` decides."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] in ("http", "websocket") and not scope["path"].startswith(_UNCOUNTED):
            limits: RequestLimits = scope["app"].state.request_limits
            await limits.take(HTTPConnection(scope))
        await self._app(scope, receive, send)
