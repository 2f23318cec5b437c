"""Authentication around every route: the credential of a connection is verified once, and the result is in the scope.

Plain ASGI middleware, so that it holds for HTTP, WebSockets and streams alike. `scope["state"]["authentication"]` is
the `Identity`, or the problem that a route raises if it needs one. Services behind the gateway verify the token again.
"""

from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from common.web import Identity, Problem, TokenVerifier, Unauthorized, Unavailable, bearer_token

from .api_keys import PREFIX, ApiKeys
from .revocations import Claims, Revocations
from .termination import Answer, RequestBody, socket_until

KEY_HEADER = "x-api-key"
#: Browsers cannot set headers of a WebSocket: they offer the token as a subprotocol.
BEARER_PREFIX = "bearer."
#: Passwords and refresh tokens are sent here, and ended sessions are logged out. Auth alone decides about them.
LOGIN_PATHS = frozenset({"/token", "/token/refresh", "/register", "/logout"})


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Verifies credentials."""

    verifier: TokenVerifier
    revocations: Revocations
    api_keys: ApiKeys

    async def authenticate(self, caller: HTTPConnection, shown: str, *, is_key: bool) -> tuple[str, Identity | Problem]:
        """The access token to continue with, and the user behind it or the reason why it is not valid.

        Raises AccessEnded for a revoked token, Unavailable without the list of revocations, and auth's problem with an
        API key.
        """
        await self.revocations.known()
        token = await self.api_keys.token(shown, caller) if is_key else shown
        try:
            identity = await self.verifier.verify(token, None)
        except (Unauthorized, Unavailable) as problem:
            # Open routes ignore it.
            return token, problem
        self.revocations.check(Claims.of_identity(identity))
        return token, identity


class Credentials:
    """Authenticates every connection; ends sockets, request bodies and streams when the access is revoked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection with `app.state.authenticator`."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        caller = HTTPConnection(scope)
        shown, is_key = _shown(caller)
        if shown is None or scope["path"] in LOGIN_PATHS:
            await self._app(scope, receive, send)
            return
        authenticator: Authenticator = scope["app"].state.authenticator
        token, outcome = await authenticator.authenticate(caller, shown, is_key=is_key)
        # In place: outer middleware reads the route that was found from the same scope.
        others = [(name, value) for name, value in scope["headers"] if name not in (b"authorization", b"x-api-key")]
        scope["headers"] = [*others, (b"authorization", f"Bearer {token}".encode())]
        scope.setdefault("state", {})["authentication"] = outcome
        if isinstance(outcome, Problem):
            try:
                await self._app(scope, receive, send)
            finally:
                # Break the reference cycle: the frames of its traceback refer to the scope, which refers to it.
                outcome.__traceback__ = None
            return
        with authenticator.revocations.watch(Claims.of_identity(outcome)) as ended:
            if scope["type"] == "websocket":
                await self._app(scope, *socket_until(ended, receive, send))
                return
            if _announces_body(caller):
                body = RequestBody(receive, send, ended)
                receive, send = body.receive, body.send
            await Answer(receive, send, ended).of(self._app, scope)


def identity_of(connection: HTTPConnection) -> Identity | None:
    """The user of an authenticated connection; None if there is no valid credential."""
    outcome = _outcome(connection)
    return outcome if isinstance(outcome, Identity) else None


def require_identity(connection: HTTPConnection) -> Identity:
    """The same; raises Unauthorized, or Unavailable while tokens cannot be verified."""
    outcome = _outcome(connection)
    if outcome is None:
        raise Unauthorized(
            'Send a bearer token in the Authorization header, or the subprotocols "verbatim", "bearer.<token>".'
        )
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


async def confirm_access(connection: HTTPConnection) -> None:
    """Have auth confirm that the caller's access is not revoked; raises AccessEnded.

    For requests that create or change something: an upload may have begun hours ago.
    """
    authenticator: Authenticator = connection.app.state.authenticator
    await authenticator.revocations.confirm(Claims.of_identity(require_identity(connection)))


def _outcome(connection: HTTPConnection) -> Identity | Problem | None:
    outcome: Identity | Problem | None = getattr(connection.state, "authentication", None)
    return outcome


def _shown(caller: HTTPConnection) -> tuple[str | None, bool]:
    """The token or key, and whether it is a key."""
    token = bearer_token(caller.headers.get("authorization"))
    if token is None and (key := caller.headers.get(KEY_HEADER)):
        return key.strip(), True
    if token is None and caller.scope["type"] == "websocket":
        offered: list[str] = caller.scope.get("subprotocols", [])
        bearers = (name.removeprefix(BEARER_PREFIX) for name in offered if name.startswith(BEARER_PREFIX))
        token = next(bearers, None) or None
    return token, token is not None and token.startswith(PREFIX)


def _announces_body(caller: HTTPConnection) -> bool:
    return caller.headers.get("content-length", "0") != "0" or "transfer-encoding" in caller.headers
