"""Measurement of the stored objects by kind, for the API, the metrics and a broadcast."""

import asyncio
import time
from datetime import UTC, datetime

import structlog

from cleanup.metrics import STORED_BYTES, STORED_OBJECTS
from cleanup.schemas import Kind, StorageReport
from common.events import StorageMeasured, StorageUse
from common.messaging import Broker
from common.storage import ObjectStore, StoreUnavailable

from .placement import placed

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 60.0
_FRESH_SECONDS = 5.0
# Measuring takes at most a twentieth of the time, for a store of any size.
_REST = 20.0


class StorageMeter:
    """Measures the store regularly; requests at the same time share one measurement."""

    def __init__(self, store: ObjectStore, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        self._latest: StorageReport | None = None
        self._finished = 0.0
        self._measuring = asyncio.Lock()

    async def run(self) -> None:
        """Measure and broadcast until cancelled."""
        while True:
            try:
                report = await self.report()
            except StoreUnavailable as error:
                log.warning("storage not measured, object store unavailable", error=str(error))
                await asyncio.sleep(_FRESH_SECONDS)
                continue
            kinds = {str(kind): use for kind, use in report.kinds.items()}
            await self._broker.broadcast(StorageMeasured(measured_at=report.measured_at, kinds=kinds))
            await asyncio.sleep(max(_EVERY_SECONDS, _REST * report.seconds))

    async def report(self) -> StorageReport:
        """The latest measurement; a new one if it is older than a few seconds (longer for a large store)."""
        async with self._measuring:
            age = time.monotonic() - self._finished
            if self._latest is None or age > max(_FRESH_SECONDS, _REST * self._latest.seconds):
                self._latest = await self._measure()
                self._finished = time.monotonic()
            return self._latest

    async def _measure(self) -> StorageReport:
        began, measured_at = time.monotonic(), datetime.now(UTC)
        totals: dict[Kind | None, list[int]] = {kind: [0, 0] for kind in (*Kind, None)}
        async for item in self._store.list(""):
            where = placed(item.key)
            total = totals[where and where[0]]
            total[0] += 1
            total[1] += item.size
        uses = {kind: StorageUse(objects=objects, bytes=size) for kind, (objects, size) in totals.items()}
        for kind in Kind:
            STORED_OBJECTS.labels(kind).set(uses[kind].objects)
            STORED_BYTES.labels(kind).set(uses[kind].bytes)
        return StorageReport(
            measured_at=measured_at,
            seconds=round(time.monotonic() - began, 3),
            kinds={kind: uses[kind] for kind in Kind},
            other=uses[None],
            objects=sum(use.objects for use in uses.values()),
            bytes=sum(use.bytes for use in uses.values()),
        )
