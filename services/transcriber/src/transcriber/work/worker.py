"""The worker as heartbeats describe it: its name, its models, and its running work."""

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from common.events import EngineTuning, WorkerHeartbeat
from common.messaging import Broker
from common.metrics import service_version
from transcriber import metrics
from transcriber.engines.gpu import Gpu

HEARTBEAT_SECONDS: Final = 5.0


class Worker:
    """One transcriber process."""

    def __init__(
        self,
        *,
        name: str,
        engine: str,
        device: str,
        models: Sequence[str],
        tuning: EngineTuning | None = None,
        gpu: Gpu | None = None,
    ) -> None:
        self.name = name
        self.models = tuple(models)
        self.engine = engine
        self._device = device
        self._tuning = tuning
        self._busy: dict[str, str] = {}
        self._gpu = gpu
        self.paused = False  # by an administrator: no new work is taken

    @property
    def batch_windows(self) -> int:
        """How many windows use the device fully; 0 if unknown."""
        return self._tuning.batch_windows if self._tuning else 0

    @property
    def on_gpu(self) -> bool:
        """Whether the engine runs on a GPU."""
        return self._device.startswith("cuda")

    @contextmanager
    def busy_with(self, kind: str, key: str) -> Iterator[None]:
        """Report a piece of work as running."""
        self._busy[key] = kind
        metrics.WORK_IN_HAND.labels(kind).inc()
        try:
            yield
        finally:
            del self._busy[key]
            metrics.WORK_IN_HAND.labels(kind).dec()

    def heartbeat(self) -> WorkerHeartbeat:
        """Describe the current state of this process."""
        return WorkerHeartbeat(
            worker=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self._device,
            engine=self.engine,
            models=list(self.models),
            busy=", ".join(sorted(self._busy)) or None,
            version=service_version("transcriber"),
            paused=self.paused,
            tuning=self._tuning,
            gpu=self._gpu.latest if self._gpu else None,
        )

    async def send_heartbeats(self, broker: Broker) -> None:
        """Send a heartbeat every five seconds, until cancelled."""
        while True:
            if self._gpu is not None:
                await self._gpu.measure()
            await broker.broadcast(self.heartbeat())
            await asyncio.sleep(HEARTBEAT_SECONDS)
