"""Logs over a WebSocket: first the archived lines, then the live ones, each once and with its cursor."""

import asyncio
import time
from contextlib import ExitStack
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from fastapi import WebSocket, WebSocketDisconnect

from common.events.archive import ArchivedRecord
from gateway import metrics
from gateway.edge.connections import OpenConnections
from gateway.edge.credentials import require_identity
from gateway.edge.termination import TOKEN_EXPIRED
from gateway.errors import ForeignOrigin, TooManyStreams
from gateway.relay.upstreams import Refusal, Upstream

from .hub import SYSTEM, LogHub, Viewer

log = structlog.get_logger(__name__)

SUBPROTOCOL = "verbatim"
PAGE = 500
# A slow viewer needs time to read the lines that were sent before the close frame.
CLOSE_SECONDS = 10.0
TOO_SLOW, TOO_MANY = 4408, 4429


class LogStream:
    """Serves the log viewers of this replica."""

    def __init__(self, hub: LogHub, jobs: Upstream, origins: list[str], streams: OpenConnections) -> None:
        """`streams` counts the sockets of each user, together with their event streams."""
        self._streams = streams
        self._hub = hub
        self._jobs = jobs
        self._origins = origins

    async def of_job(self, socket: WebSocket, job_id: UUID, after: int) -> None:
        """Stream a job's log after a cursor, until the client disconnects, its token expires or it is too slow.

        Before the handshake, raises ForeignOrigin, Unauthorized or the jobs service's Refusal (404 for another user's
        job).
        """
        await self._serve(socket, f"/jobs/{job_id}/logs", str(job_id), after)

    async def of_system(self, socket: WebSocket, after: int) -> None:
        """The same for the log of all services; the jobs service refuses users who are not administrators."""
        await self._serve(socket, "/log-lines", SYSTEM, after)

    async def _serve(self, socket: WebSocket, path: str, stream: str, after: int) -> None:
        check_origin(socket, self._origins)
        identity = require_identity(socket)
        identity.may_use("GET")
        with ExitStack() as stack:
            try:
                stack.enter_context(self._streams.hold(identity))
            except TooManyStreams as refusal:
                # A page can read a close code, but not an answer before the handshake.
                await socket.accept(_subprotocol(socket))
                await _close(socket, TOO_MANY, refusal.detail)
                return
            viewer = stack.enter_context(self._hub.watch(stream))
            sender = _Sender(socket, _Archive(socket, self._jobs, path), viewer, after)
            # Before the handshake, so that the jobs service can refuse.
            await sender.prepare()
            await socket.accept(_subprotocol(socket))
            code, reason = await _until_end(socket, sender, viewer, identity.expires_at - time.time())
            if code is not None:
                await _close(socket, code, reason)


class _Archive:
    """The archived lines of one stream, read from the jobs service."""

    def __init__(self, socket: WebSocket, jobs: Upstream, path: str) -> None:
        self._socket = socket
        self._jobs = jobs
        self._path = path

    async def page(self, after: int) -> tuple[list[ArchivedRecord], int, bool]:
        """The lines after a cursor, the next cursor, and whether the archive had no more."""
        params = [("after", str(after)), ("limit", str(PAGE))]
        page = await self._jobs.ask(self._socket, self._path, params=params)
        lines = [ArchivedRecord.of(item["seq"], None, item["record"]) for item in page["items"]]
        return lines, page["next_after"], page["complete"]


class _Sender:
    """Sends one viewer every line once, in order.

    The cursor is the number of the last line sent, or a later one of another stream. Live lines are sent as long as
    none before them is missing; otherwise the archive is read from the cursor first.
    """

    def __init__(self, socket: WebSocket, archive: _Archive, viewer: Viewer, after: int) -> None:
        self._socket = socket
        self._archive = archive
        self._viewer = viewer
        self._cursor = after
        self._first: tuple[list[ArchivedRecord], int, bool] | None = None

    async def prepare(self) -> None:
        """Read the first page of the archive."""
        self._first = await self._archive.page(self._cursor)
        # A cursor beyond the end is from another archive: the stream begins at the current end.
        self._cursor = min(self._cursor, self._first[1])

    async def run(self) -> None:
        """Send the archived lines, then live lines until cancelled."""
        await self._catch_up(self._first)
        self._first = None
        while True:
            if self._viewer.behind:
                self._viewer.behind = False
                await self._catch_up(None)
                continue
            for line in self._viewer.take():
                if line.cursor > self._cursor:
                    await self._send(line)
            if not self._viewer.behind:
                await self._viewer.wait()

    async def _catch_up(self, page: tuple[list[ArchivedRecord], int, bool] | None) -> None:
        while True:
            lines, upto, complete = page or await self._archive.page(self._cursor)
            for line in lines:
                await self._send(line)
            self._cursor = max(self._cursor, upto)
            if complete:
                return
            page = None

    async def _send(self, line: ArchivedRecord) -> None:
        await self._socket.send_text(line.text)
        self._cursor = line.cursor


async def _until_end(socket: WebSocket, sender: _Sender, viewer: Viewer, seconds_left: float) -> tuple[int | None, str]:
    """Run the sender until the stream ends; returns the close code, None if the client disconnected."""
    sending = asyncio.create_task(sender.run())
    leaving = asyncio.create_task(_disconnected(socket))
    slow = asyncio.create_task(viewer.too_slow.wait())
    tasks = {sending, leaving, slow}
    try:
        done, _ = await asyncio.wait(tasks, timeout=max(0.0, seconds_left), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if leaving in done:
        return None, ""
    if slow in done:
        metrics.SLOW_VIEWERS.inc()
        log.info("slow log viewer disconnected")
        return TOO_SLOW, f"Too slow: more than {viewer.limit} log records were queued. Connect again."
    if sending in done:
        return _end_of_sending(sending)
    return TOKEN_EXPIRED, "The token has expired. Log in and connect again."


def _end_of_sending(sending: asyncio.Task[None]) -> tuple[int | None, str]:
    error = sending.exception()
    if isinstance(error, WebSocketDisconnect):
        return None, ""
    if isinstance(error, Refusal) and error.response.status_code == 401:
        return TOKEN_EXPIRED, "The token has expired. Log in and connect again."
    if isinstance(error, Refusal):
        return 1011, "This log can no longer be read."
    assert error is not None  # the sender does not return
    raise error


async def _disconnected(socket: WebSocket) -> None:
    while True:
        # Messages of a viewer are read and ignored: a full queue would hide the disconnect.
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code, reason)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        log.debug("close frame not received by log viewer")


def check_origin(socket: WebSocket, allowed: list[str]) -> None:
    """Raise ForeignOrigin for a web page of an origin that is not allowed; programs send no Origin."""
    origin = socket.headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return
    try:
        host = urlsplit(origin).netloc.lower()
    except ValueError:
        host = ""
    if not host or host != socket.headers.get("host", "").lower():
        raise ForeignOrigin("This origin may not open WebSockets here; add it to CORS_ORIGINS.")


def _subprotocol(socket: WebSocket) -> str | None:
    return SUBPROTOCOL if SUBPROTOCOL in socket.scope.get("subprotocols", []) else None
