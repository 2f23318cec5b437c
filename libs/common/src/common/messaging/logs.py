"""Publish the log records of this process: a message has the records of one routing key as lines of JSON."""

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
# The first record after a pause is published at once; those of the next 30 ms are published together.
_REST_SECONDS = 0.03


class LogPublisher:
    """Publishes log records, best effort; logging never waits for it."""

    def __init__(self, broker: Broker, sink: LogSink) -> None:
        self._broker = broker
        self._sink = sink
        self._dropped = 0

    async def run(self) -> None:
        """Publish until cancelled; during an outage of the broker the sink keeps the latest records."""
        while True:
            await self._sink.wait()
            sent = self._broker.connected and await self._send(self._sink.drain(_BATCH))
            dropped = self._sink.dropped
            metrics.LOGS_LOST.inc(dropped - self._dropped)
            self._dropped = dropped
            await asyncio.sleep(_REST_SECONDS if sent else _PAUSE_WITHOUT_BROKER)

    async def _send(self, records: list[dict[str, Any]]) -> bool:
        """Publish records; those that could not be sent are put back into the sink.

        After a reconnect, sends fail until the channels are open again. A record whose send timed out may have been
        sent; the archive drops duplicates by `log_id`.
        """
        together: dict[str, list[dict[str, Any]]] = {}
        for record in records:
            together.setdefault(_routing_key(record), []).append(record)
        sent: set[str] = set()
        try:
            for key, of_key in together.items():
                if not await self._broker.send_best_effort(_envelope(key, of_key)):
                    return False
                sent.add(key)
            return True
        finally:
            self._sink.put_back([record for record in records if _routing_key(record) not in sent])


def records_of(body: bytes) -> list[bytes]:
    """Return the records in a message of the log topic, each as JSON."""
    return body.split(b"\n")


def _routing_key(record: dict[str, Any]) -> str:
    return ".".join(str(record.get(name) or "-") for name in ("service", "level", "job_id"))


def _envelope(key: str, records: list[dict[str, Any]]) -> Envelope:
    return Envelope(
        exchange=LOGS,
        routing_key=key,
        message_id=str(records[0].get("log_id") or uuid4().hex),
        message_type="log",
        correlation_id=str(records[0].get("correlation_id") or ""),
        traceparent=None,
        # A value that is not JSON must not end the publishing loop.
        body=b"\n".join(json.dumps(record, default=str, ensure_ascii=False).encode() for record in records),
    )
