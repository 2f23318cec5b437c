"""What happens to open connections when the access of their user is revoked."""

import asyncio
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.web.identity import AccessEnded

#: Close code of a socket whose token has expired or was revoked.
TOKEN_EXPIRED = 4401
#: How long the end of a stream may take to be written to a client that does not read.
END_SECONDS = 5.0
#: How long a client whose request is cut may continue to send before its connection is closed.
LINGER_SECONDS = 2.0


async def _first(receive: Receive, ended: asyncio.Event) -> Message | None:
    """The next message; None when access ends before it arrives."""
    receiving, ending = asyncio.ensure_future(receive()), asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait({receiving, ending}, return_when=asyncio.FIRST_COMPLETED)
        return None if ended.is_set() else receiving.result()
    finally:
        receiving.cancel()
        ending.cancel()


def socket_until(ended: asyncio.Event, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """A socket that closes with 4401 when access ends; to the route it looks as if the client had left."""
    closed = False

    async def receive_until_ended() -> Message:
        nonlocal closed
        if (message := await _first(receive, ended)) is not None:
            return message
        if not closed:
            closed = True
            await send({"type": "websocket.close", "code": TOKEN_EXPIRED, "reason": "The session has ended."})
        return {"type": "websocket.disconnect", "code": TOKEN_EXPIRED}

    async def send_unless_ended(message: Message) -> None:
        if not closed:
            await send(message)

    return receive_until_ended, send_unless_ended


class RequestBody:
    """A request whose body ends when access ends: reading raises AccessEnded, and the connection is closed."""

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
        message = await _first(self._receive, self._ended)
        if message is None:
            self._is_cut = True
            raise AccessEnded("The session ended during the request. Sign in again.")
        self._is_complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on; after a cut request the connection cannot be used again."""
        if message["type"] == "http.response.start":
            self._is_answered = True
            if self._is_cut:
                MutableHeaders(scope=message)["Connection"] = "close"
        elif self._is_cut and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _drain(self) -> None:
        """Discard what still arrives: unread bytes would make the kernel reset the connection, and the client could
        lose the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await self._receive()).get("more_body", False):
                    pass


class Answer:
    """An answer that stops when access ends, if it is an event stream; other answers are completed."""

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
                async with asyncio.timeout(END_SECONDS):
                    await self._send_next({"type": "http.response.body", "body": b"", "more_body": False})

    async def _receive(self) -> Message:
        """The request's body, then the client's disconnect; an event stream receives it also when access ends.

        So the stream ends while it waits for an event or for a client that does not read.
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
