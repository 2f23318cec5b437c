"""The log of a job over a WebSocket: first what the archive has, then what happens."""

import asyncio
import json
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import jwt
import structlog
from fastapi import WebSocket, WebSocketDisconnect

from common.web import Identity, TokenVerifier, Unauthorized, bearer_token

from . import metrics
from .errors import ForeignOrigin
from .loghub import LogHub, LogLine, Viewer
from .upstreams import Refusal, Upstream

log = structlog.get_logger(__name__)

SUBPROTOCOL = "verbatim"
BEARER_PREFIX = "bearer."
PAGE = 500
# A record may be on its way into the archive while we subscribe: too late for live, too early for the archive's answer.
# After this time it is there, so the archive is asked once more before live records are sent.
SETTLE_SECONDS = 1.0
# Who is dropped for reading slowly needs time to read what is on its way before the reason.
CLOSE_SECONDS = 10.0
TOKEN_EXPIRED, TOO_SLOW = 4401, 4408


class LogStream:
    """Serves the viewers of this replica."""

    def __init__(self, hub: LogHub, jobs: Upstream, verifier: TokenVerifier, origins: list[str]) -> None:
        self._hub = hub
        self._jobs = jobs
        self._verifier = verifier
        self._origins = origins

    async def serve(self, socket: WebSocket, job_id: UUID) -> None:
        """Stream the job's log until the client leaves, its token expires, or it reads too slowly.

        Before the handshake, raises ForeignOrigin, Unauthorized or the jobs service's Refusal (a foreign job is a 404).
        """
        check_origin(socket, self._origins)
        identity = await self._verifier.verify(_token(socket))
        await self._jobs.ask(socket, f"/jobs/{job_id}", token=identity.token)
        with self._hub.watch(str(job_id)) as viewer:
            await socket.accept(SUBPROTOCOL if SUBPROTOCOL in _subprotocols(socket) else None)
            sender = _Sender(socket, self._jobs, identity, job_id, viewer)
            code, reason = await _until_over(socket, sender, viewer, _seconds_left(identity))
            if code is not None:
                await _close(socket, code, reason)


class _Sender:
    """Sends one viewer everything once, in order."""

    def __init__(self, socket: WebSocket, jobs: Upstream, identity: Identity, job_id: UUID, viewer: Viewer) -> None:
        self._socket = socket
        self._jobs = jobs
        self._identity = identity
        self._path = f"/jobs/{job_id}/logs"
        self._viewer = viewer
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._after = 0

    async def run(self) -> None:
        """Send the archive, then live records for ever."""
        await self._send_archive()
        await asyncio.sleep(SETTLE_SECONDS)
        await self._send_archive()
        while True:
            for line in sorted(self._viewer.take(), key=lambda line: line.timestamp):
                await self._send(line)
            await self._viewer.wait()

    async def _send_archive(self) -> None:
        while True:
            params = [("after", str(self._after)), ("limit", str(PAGE))]
            page = await self._jobs.ask(self._socket, self._path, params=params, token=self._identity.token)
            items: list[dict[str, Any]] = page["items"]
            for item in items:
                await self._send(_archived(item["record"]))
                self._after = item["seq"]
            if len(items) < PAGE:
                return

    async def _send(self, line: LogLine) -> None:
        if line.log_id in self._seen:
            return
        # Live and archive overlap in what is buffered at most, so older ids need not be remembered.
        self._seen[line.log_id] = None
        if len(self._seen) > 2 * self._viewer.limit:
            self._seen.popitem(last=False)
        await self._socket.send_text(line.text)


async def _until_over(
    socket: WebSocket, sender: _Sender, viewer: Viewer, seconds_left: float
) -> tuple[int | None, str]:
    """Run the sender until one of the ends comes; returns the close code, None when the client left."""
    sending = asyncio.create_task(sender.run())
    leaving = asyncio.create_task(_client_leaves(socket))
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
        log.info("slow log viewer dropped")
        return TOO_SLOW, f"Too slow: more than {viewer.limit} log records were waiting. Connect again."
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
        return 1011, "The log of this job cannot be read any more."
    assert error is not None  # the sender never ends by itself
    raise error


async def _client_leaves(socket: WebSocket) -> None:
    while True:
        # What a viewer says is ignored, but read: a full queue would hide that it leaves.
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code, reason)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        log.debug("viewer did not take the close frame")


def check_origin(socket: WebSocket, allowed: list[str]) -> None:
    """Raise ForeignOrigin when a web page from elsewhere is connecting; programs send no Origin and may."""
    origin = socket.headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return
    if urlsplit(origin).netloc.lower() != socket.headers.get("host", "").lower():
        raise ForeignOrigin("This origin may not open WebSockets here; add it to CORS_ORIGINS.")


def _subprotocols(socket: WebSocket) -> list[str]:
    offered: list[str] = socket.scope.get("subprotocols", [])
    return offered


def _token(socket: WebSocket) -> str:
    """The bearer token: from the Authorization header, or from a subprotocol, as browsers can set no header."""
    token = bearer_token(socket.headers.get("authorization"))
    offered = (name.removeprefix(BEARER_PREFIX) for name in _subprotocols(socket) if name.startswith(BEARER_PREFIX))
    token = token or next(offered, None)
    if not token:
        raise Unauthorized(
            'Send a bearer token in the Authorization header, or the subprotocols "verbatim", "bearer.<token>".'
        )
    return token


def _seconds_left(identity: Identity) -> float:
    # The signature was checked by the verifier; this only reads a claim that Identity does not carry.
    claims = jwt.decode(identity.token, options={"verify_signature": False})
    return float(claims["exp"]) - time.time()


def _archived(record: dict[str, Any]) -> LogLine:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return LogLine(str(record.get("log_id")), str(record.get("timestamp")), text)
