"""What every request shows at the door: an access token or an API key, neither of which may have been revoked.

Plain ASGI around all routes, WebSockets and streams, so that none of them has to think of it. Services behind the
gateway check the token itself, and its scopes.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.web import bearer_token
from common.web.identity import AccessEnded

from .api_keys import PREFIX, ApiKeys
from .revocations import Claims, Revocations

KEY_HEADER = "x-api-key"
#: Browsers cannot set headers of a WebSocket: they offer the token as a subprotocol.
BEARER_PREFIX = "bearer."
#: Close code of a socket whose token has expired or was revoked.
TOKEN_EXPIRED = 4401
# For the end of a stream to leave, where the client does not read; its connection is closed later.
LAST_WORD_SECONDS = 5.0
#: How long a client whose request is cut may go on sending before its connection is closed.
LINGER_SECONDS = 2.0
#: Where passwords and refresh tokens are tried, and where sessions end that may be over. Auth decides about them alone.
LOGIN_PATHS = frozenset({"/token", "/token/refresh", "/register", "/logout"})


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
    """Turns API keys into access tokens, refuses what was revoked, and ends streams and bodies when that happens."""

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
        with doorkeeper.revocations.watch(claims) as ended:
            if scope["type"] == "websocket":
                await self._app(scope, *_until_ended(receive, send, ended))
                return
            scope.setdefault("state", {})["claims"] = claims
            if _announces_body(caller):
                request = _RequestUntilEnded(receive, send, ended)
                receive, send = request.receive, request.send
            await _Answer(receive, send, ended).of(self._app, scope)


async def confirm_access(request: Request) -> None:
    """Have auth confirm the caller's credential, in a route that has verified it; raises AccessEnded.

    For what lasts or costs: an upload may have taken hours since it was let in.
    """
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    await doorkeeper.revocations.confirm(request.state.claims)


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


def _announces_body(caller: HTTPConnection) -> bool:
    return caller.headers.get("content-length", "0") != "0" or "transfer-encoding" in caller.headers


class _RequestUntilEnded:
    """A request whose body ends when access does: what reads it gets AccessEnded, and the connection is closed."""

    def __init__(self, receive: Receive, send: Send, ended: asyncio.Event) -> None:
        self._receive = receive
        self._send = send
        self._ended = ended
        self._is_complete = False
        self._is_answered = False
        self._is_cut = False

    async def receive(self) -> Message:
        """The next block; raises AccessEnded while the body is incomplete and the answer has not begun."""
        if self._is_complete or self._is_answered:
            return await self._receive()
        message = await self._before_the_end()
        if message is None:
            self._is_cut = True
            raise AccessEnded("The session has ended while the request arrived. Sign in again.")
        self._is_complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on; after a cut request nothing more can follow on the connection."""
        if message["type"] == "http.response.start":
            self._is_answered = True
            if self._is_cut:
                MutableHeaders(scope=message)["Connection"] = "close"
        elif self._is_cut and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _before_the_end(self) -> Message | None:
        receiving = asyncio.ensure_future(self._receive())
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({receiving, ending}, return_when=asyncio.FIRST_COMPLETED)
            return None if self._ended.is_set() else receiving.result()
        finally:
            receiving.cancel()
            ending.cancel()

    async def _drain(self) -> None:
        """Drop what is on its way: bytes that nobody takes would make the kernel reset the connection, and the client
        could lose the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await self._receive()).get("more_body", False):
                    pass


class _Answer:
    """An answer that stops when access ends, if it is one without an end (server-sent events); others may finish."""

    def __init__(self, receive: Receive, send: Send, ended: asyncio.Event) -> None:
        self._receive_next = receive
        self._send_next = send
        self._ended = ended
        self._endless = asyncio.Event()
        self._has_body = True
        self._complete = False

    async def of(self, app: ASGIApp, scope: Scope) -> None:
        """Have the application answer the request."""
        await app(scope, self._receive, self._send)
        if self._endless.is_set() and not self._complete:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORD_SECONDS):
                    await self._send_next({"type": "http.response.body", "body": b"", "more_body": False})

    async def _receive(self) -> Message:
        """The request's body, then the client's leave; to an endless answer the end of access looks the same.

        So it ends also while it waits, for something to happen or for the client to read.
        """
        if self._has_body:
            message = await self._receive_next()
            self._has_body = message.get("more_body", False)
            return message
        receiving, stopping = asyncio.ensure_future(self._receive_next()), asyncio.ensure_future(self._stopped())
        try:
            await asyncio.wait({receiving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if stopping.done() else receiving.result()
        finally:
            receiving.cancel()
            stopping.cancel()

    async def _stopped(self) -> None:
        await self._endless.wait()
        await self._ended.wait()

    async def _send(self, message: Message) -> None:
        if self._endless.is_set() and self._ended.is_set():
            return
        if message["type"] == "http.response.start":
            headers = dict(message.get("headers", []))
            if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
                self._endless.set()
        await self._send_next(message)
        self._complete = message["type"] == "http.response.body" and not message.get("more_body", False)
