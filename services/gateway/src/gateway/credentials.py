"""What every request shows at the door: an access token or an API key, neither of which may have been revoked.

Plain ASGI around all routes, WebSockets and streams, so that none of them has to think of it. Services behind the
gateway check the token itself, and its scopes.
"""

import asyncio
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.web import bearer_token

from .api_keys import PREFIX, ApiKeys
from .logstream import BEARER_PREFIX, TOKEN_EXPIRED
from .revocations import Claims, Revocations

KEY_HEADER = "x-api-key"
#: Where passwords and refresh tokens are tried. Whatever else such a request carries does not count.
LOGIN_PATHS = frozenset({"/token", "/token/refresh", "/register"})


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What the door needs to know."""

    revocations: Revocations
    api_keys: ApiKeys

    async def admit(self, caller: HTTPConnection, shown: str, *, is_key: bool) -> tuple[str, Claims]:
        """The access token that the caller goes on with; raises Unauthorized or what auth says about a key."""
        await self.revocations.known()
        token = await self.api_keys.token(shown, caller) if is_key else shown
        claims = Claims.of(token)
        self.revocations.check(claims)
        return token, claims


class Credentials:
    """Turns API keys into access tokens, refuses what was revoked, and ends streams when that happens meanwhile."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; `app.state.doorkeeper` decides."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        caller = HTTPConnection(scope)
        shown, is_key = _shown(caller)
        if shown is None or scope["path"] in LOGIN_PATHS:
            await self._app(scope, receive, send)
            return
        doorkeeper: Doorkeeper = scope["app"].state.doorkeeper
        token, claims = await doorkeeper.admit(caller, shown, is_key=is_key)
        # In place: what wraps us reads from the same scope which route was found.
        others = [(name, value) for name, value in scope["headers"] if name not in (b"authorization", b"x-api-key")]
        scope["headers"] = [*others, (b"authorization", f"Bearer {token}".encode())]
        if scope["type"] == "websocket":
            with doorkeeper.revocations.watch(claims) as ended:
                await self._app(scope, *_until_ended(receive, send, ended))
        else:
            await self._app(scope, receive, _stream_until_ended(send, doorkeeper.revocations, claims))


def _shown(caller: HTTPConnection) -> tuple[str | None, bool]:
    """The token or key, and whether it is a key; browsers can offer it to WebSockets only as a subprotocol."""
    token = bearer_token(caller.headers.get("authorization"))
    if token is None and (key := caller.headers.get(KEY_HEADER)):
        return key.strip(), True
    if token is None and caller.scope["type"] == "websocket":
        offered: list[str] = caller.scope.get("subprotocols", [])
        bearers = (name.removeprefix(BEARER_PREFIX) for name in offered if name.startswith(BEARER_PREFIX))
        token = next(bearers, None) or None
    return token, token is not None and token.startswith(PREFIX)


def _until_ended(receive: Receive, send: Send, ended: asyncio.Event) -> tuple[Receive, Send]:
    """A socket that closes with 4401 when access ends, and to the route looks as if the client had left."""
    closed = False

    async def receive_until_ended() -> Message:
        nonlocal closed
        receiving, ending = asyncio.ensure_future(receive()), asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({receiving, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.is_set():
                return receiving.result()
        finally:
            receiving.cancel()
            ending.cancel()
        if not closed:
            closed = True
            await send({"type": "websocket.close", "code": TOKEN_EXPIRED, "reason": "The session has ended."})
        return {"type": "websocket.disconnect", "code": TOKEN_EXPIRED}

    async def send_unless_ended(message: Message) -> None:
        if not closed:
            await send(message)

    return receive_until_ended, send_unless_ended


def _stream_until_ended(send: Send, revocations: Revocations, claims: Claims) -> Send:
    """An endless answer (server-sent events) that stops when access ends; one with an end may finish."""
    endless = False

    async def send_unless_ended(message: Message) -> None:
        nonlocal endless
        if message["type"] == "http.response.start":
            headers = dict(message.get("headers", []))
            endless = headers.get(b"content-type", b"").startswith(b"text/event-stream")
        elif endless and revocations.has_ended(claims):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            raise ClientDisconnect
        await send(message)

    return send_unless_ended
