"""How long a client may take over the head of a request, and over reading an answer: then its connection is closed."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

LARGEST_HEAD: Final = 128 * 1024


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's HTTP protocol, which closes connections whose next request's head takes too long or is too large.

    It also closes those whose client does not read: its answer would wait for ever, with all that it holds open.
    uvicorn itself has a limit for idle connections and none for those that send or read a byte now and then.
    """

    head_seconds: float = 20.0
    stall_seconds: float = 120.0
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take what has come, and go on waiting if the head is still not complete."""
        if self._between_requests:
            self._head_bytes += len(data)
            if self._deadline is None:
                self._expect_head()
        super().data_received(data)
        # A WebSocket has taken the connection over once another protocol is in our place.
        if not self._between_requests or self.transport.get_protocol() is not self:
            self._head_bytes = 0
            self._stop_waiting()
        elif self._head_bytes > LARGEST_HEAD and not (self.cycle and self.cycle.more_body):
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        self._expect_room(wanted=False)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for the client to read: so much of the answer is buffered that no more is taken."""
        super().pause_writing()
        self._expect_room(wanted=True)

    def resume_writing(self) -> None:
        """Wait no more: most of what was buffered is sent."""
        self._expect_room(wanted=False)
        super().resume_writing()

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _expect_room(self, *, wanted: bool) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        # Not close(): that would wait until the client has read what is buffered.
        self._stalled = self.loop.call_later(self.stall_seconds, self.transport.abort) if wanted else None

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def patient(head_seconds: float, stall_seconds: float) -> type[asyncio.Protocol]:
    """The protocol that waits for so many seconds."""
    return type("Patient", (PatientProtocol,), {"head_seconds": head_seconds, "stall_seconds": stall_seconds})
