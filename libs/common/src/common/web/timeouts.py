"""Time limits for the head of a request and for a client that does not read the response."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

LARGEST_HEAD: Final = 128 * 1024


class TimeoutProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's HTTP protocol with limits: it closes a connection whose request head is too slow or too large.

    It also closes a connection whose client does not read the response, which would keep its resources for ever.
    uvicorn has a limit for idle connections only, not for those that send or read a byte from time to time.
    """

    head_seconds: float = 20.0
    stall_seconds: float = 120.0
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Start the timer for the first request."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Pass data on; the timer continues until the head is complete."""
        if self._between_requests:
            self._head_bytes += len(data)
            if self._deadline is None:
                self._expect_head()
        super().data_received(data)
        # After the handshake of a WebSocket the transport has another protocol.
        if not self._between_requests or self.transport.get_protocol() is not self:
            self._head_bytes = 0
            self._stop_waiting()
        elif self._head_bytes > LARGEST_HEAD and not (self.cycle and self.cycle.more_body):
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both timers."""
        self._stop_waiting()
        self._expect_room(wanted=False)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the timer for a client that does not read: the write buffer is full."""
        super().pause_writing()
        self._expect_room(wanted=True)

    def resume_writing(self) -> None:
        """Stop the timer: most of the buffer is sent."""
        self._expect_room(wanted=False)
        super().resume_writing()

    def _should_upgrade(self) -> bool:
        # uvicorn answers nothing at all to the handshake of a WebSocket that has a body; it is an ordinary request.
        body = dict(self.headers).get(b"content-length", b"0") != b"0" or b"transfer-encoding" in dict(self.headers)
        return self.scope["method"] == "GET" and not body and bool(super()._should_upgrade())

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _expect_room(self, *, wanted: bool) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        # Not close(): it would wait until the client has read the buffer.
        self._stalled = self.loop.call_later(self.stall_seconds, self.transport.abort) if wanted else None

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def protocol_with_timeouts(head_seconds: float, stall_seconds: float) -> type[asyncio.Protocol]:
    """The protocol class with these limits in seconds."""
    return type(
        "TimeoutProtocolWithLimits", (TimeoutProtocol,), {"head_seconds": head_seconds, "stall_seconds": stall_seconds}
    )
