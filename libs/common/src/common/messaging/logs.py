"""The process's own log records on the bus."""

import asyncio
import json
from typing import Any
from uuid import uuid4

from common.logging import LogSink

from . import metrics
from .broker import Broker
from .envelope import Envelope
from .topology import LOGS

_BATCH = 200
_PAUSE_WITHOUT_BROKER = 0.5


class LogPublisher:
    """Sends log records to whoever watches; best effort, and nobody ever waits for it."""

    def __init__(self, broker: Broker, sink: LogSink) -> None:
        """Wire a publisher."""
        self._broker = broker
        self._sink = sink
        self._dropped = 0

    async def run(self) -> None:
        """Publish until cancelled; while the broker is away the sink keeps the latest records."""
        while True:
            await self._sink.wait()
            if not self._broker.connected:
                await asyncio.sleep(_PAUSE_WITHOUT_BROKER)
                continue
            for record in self._sink.drain(_BATCH):
                if not await self._broker.send_best_effort(_envelope(record)):
                    metrics.LOGS_LOST.inc()
            dropped = self._sink.dropped
            metrics.LOGS_LOST.inc(dropped - self._dropped)
            self._dropped = dropped


def _envelope(record: dict[str, Any]) -> Envelope:
    service, level, job_id = (record.get(name) or "-" for name in ("service", "level", "job_id"))
    return Envelope(
        exchange=LOGS,
        routing_key=f"{service}.{level}.{job_id}",
        message_id=str(record.get("log_id") or uuid4().hex),
        message_type="log",
        correlation_id=str(record.get("correlation_id") or ""),
        traceparent=None,
        # Whatever a log call was given must not break the loop that publishes it.
        body=json.dumps(record, default=str, ensure_ascii=False).encode(),
    )
