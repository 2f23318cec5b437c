"""Publish the heartbeats of a process, and end it on an administrator's request."""

import asyncio
import socket
import time
from datetime import UTC, datetime

import psutil  # type: ignore[import-untyped]  # the package ships no types
import structlog
from fastapi import FastAPI
from pydantic import ValidationError

from common.events import EndProcesses, ServiceHeartbeat
from common.messaging import Broker
from common.metrics import service_version
from common.settings import ServiceSettings
from common.web.server import EXIT_RESTART, EXIT_SHUTDOWN, end

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 10.0


class HeartbeatPublisher:
    """Publishes heartbeats, and ends the process on `EndProcesses` if ENABLE_SERVER_CONTROL is set."""

    def __init__(self, broker: Broker, *, service: str, settings: ServiceSettings, app: FastAPI) -> None:
        self._broker = broker
        self._service = service
        self._settings = settings
        self._app = app
        self._usage = Usage()

    async def run(self) -> None:
        """Publish and consume until cancelled; made for `Background`."""
        listener = await self._broker.listen("control", [EndProcesses.name], self._consume)
        try:
            while True:
                await self._broker.broadcast(self.heartbeat())
                await asyncio.sleep(HEARTBEAT_SECONDS)
        finally:
            await listener.close()

    def heartbeat(self) -> ServiceHeartbeat:
        """The description of this process, with its processor use since the last call."""
        cpu_percent, memory_bytes = self._usage.measure()
        return ServiceHeartbeat(
            service=self._service,
            instance=self._settings.instance,
            host=socket.gethostname(),
            pid=self._usage.pid,
            version=service_version(self._service),
            started_at=self._usage.started_at,
            cpu_percent=cpu_percent,
            memory_bytes=memory_bytes,
        )

    async def _consume(self, key: str, body: bytes) -> None:
        if key != EndProcesses.name:
            return
        try:
            notice = EndProcesses.model_validate_json(body)
        except ValidationError as error:
            log.warning("control notice not readable", notice=key, error=str(error))
            return
        if not self._settings.enable_server_control:
            log.warning("end request ignored, ENABLE_SERVER_CONTROL is off", restart=notice.restart)
            return
        log.warning("ending on request", restart=notice.restart, requested_by=str(notice.requested_by))
        end(self._app, EXIT_RESTART if notice.restart else EXIT_SHUTDOWN)


class Usage:
    """Processor time and memory of this process and its child processes."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.pid: int = self._process.pid
        self.started_at = datetime.fromtimestamp(self._process.create_time(), UTC)
        self._measured = time.monotonic()
        self._spent, _ = self._totals()

    def measure(self) -> tuple[float, int]:
        """Percent of one core since the last call, and resident bytes (shared pages count in each process)."""
        now = time.monotonic()
        spent, memory = self._totals()
        elapsed = max(now - self._measured, 1e-6)
        # The processor time of a child that has ended is missing from the sum: the difference must not become negative.
        percent = max(0.0, spent - self._spent) / elapsed * 100
        self._measured, self._spent = now, spent
        return round(percent, 1), memory

    def _totals(self) -> tuple[float, int]:
        spent, memory = 0.0, 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                times = process.cpu_times()
                memory += int(process.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
            spent += float(times.user + times.system)
        return spent, memory
