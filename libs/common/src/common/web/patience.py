"""How long a client may take over the head of a request: a connection that only drips is not kept open for it."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

LARGEST_HEAD: Final = 128 * 1024


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's HTTP protocol, which closes connections whose next request's head takes too long or is too large.

    uvicorn itself has a limit for idle connections and none for those that send a byte now and then.
    """

    head_seconds: float = 20.0
    _deadline: asyncio.TimerHandle | None = None
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
        super().connection_lost(exc)

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def patient(head_seconds: float) -> type[asyncio.Protocol]:
    """The protocol that waits for so many seconds."""
    return type("Patient", (PatientProtocol,), {"head_seconds": head_seconds})
