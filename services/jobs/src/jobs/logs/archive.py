"""The log archive: consumes the log records of all services in batches, numbers, stores and publishes them."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.events.archive import ArchivedBatch, ArchivedRecord
from common.messaging import Broker, RawMessage, records_of
from common.messaging.envelope import Envelope
from common.messaging.topology import ARCHIVE
from common.web.middleware import is_access_line
from jobs import metrics
from jobs.repository import LogRepository
from jobs.repository.jsonb import sanitized
from jobs.repository.logs import Kind
from jobs.settings import Settings

Publish = Callable[[ArchivedBatch], Awaitable[object]]

log = structlog.get_logger(__name__)

_PRUNE_INTERVAL_SECONDS = 60.0
_PRUNE_BATCH = 10_000
_HEAD_SECONDS = 1.0

# Escapes of characters that PostgreSQL cannot store; few records have one, so few are searched.
_UNSTORABLE = re.compile(rb"\\u(?:0000|d[89a-f])", re.IGNORECASE)


class LogArchive:
    """Stores log records, publishes them to the gateways, and removes records beyond their retention."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], settings: Settings, publish: Publish) -> None:
        self._sessions = sessions
        self._settings = settings
        self._publish = publish

    async def store(self, messages: Sequence[RawMessage]) -> None:
        """Store the records of a batch of messages, and publish them."""
        records = [record for message in messages for record in _records(message)]
        if not records:
            return
        # Records travel by routing key, so a warning about a job may overtake earlier records.
        records.sort(key=lambda record: str(record["record"].get("timestamp", "")))
        async with self._sessions.begin() as session:
            previous, added = await LogRepository(session).append(records)
        metrics.LOG_LINES.inc(len(added))
        if added:
            lines = [_line(seq, record) for seq, record in added if record["kind"] != Kind.ACCESS]
            await self._publish(ArchivedBatch(previous, upto=added[-1][0], lines=lines))

    async def run(self) -> None:
        """Prune for ever."""
        while True:
            while await self.prune():
                pass
            await asyncio.sleep(_PRUNE_INTERVAL_SECONDS)

    async def publish_head(self) -> None:
        """Publish for ever the highest number of a second ago, so that readers detect missing records.

        The present number would overtake records that are stored but not published yet.
        """
        while True:
            async with self._sessions() as session:
                head = await LogRepository(session).head()
            await asyncio.sleep(_HEAD_SECONDS)
            await self._publish(ArchivedBatch(previous=head, upto=head))

    async def prune(self) -> bool:
        """Remove a batch of records beyond their retention; return whether there may be more."""
        removed = dict.fromkeys(Kind, 0)
        for kind in Kind:
            age, keep = self._settings.log_limits(of_jobs=kind is Kind.JOB)
            async with self._sessions.begin() as session:
                removed[kind] = await LogRepository(session).prune(kind, older_than=age, keep=keep, batch=_PRUNE_BATCH)
        if any(removed.values()):
            log.info("log records pruned", **removed)
        return max(removed.values()) == _PRUNE_BATCH


async def publish(broker: Broker, lines: ArchivedBatch) -> bool:
    """Broadcast lines to every gateway, best effort; return whether they left the process."""
    envelope = Envelope(ARCHIVE, "", uuid4().hex, "archived lines", "", None, lines.body())
    return await broker.send_best_effort(envelope)


def _line(seq: int, record: dict[str, Any]) -> ArchivedRecord:
    job_id: UUID | None = record["job_id"]
    return ArchivedRecord.of(seq, str(job_id) if job_id else None, record["record"])


def _records(message: RawMessage) -> Iterator[dict[str, Any]]:
    """Yield the readable records of a message."""
    service, _, rest = message.routing_key.partition(".")
    job = rest.rpartition(".")[2]
    for body in records_of(message.body):
        try:
            yield _record(service, None if job == "-" else UUID(job), body)
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not logged: the record of an unreadable record would be consumed here again.
            metrics.LOG_LINES_UNREADABLE.inc()


def _record(service: str, job_id: UUID | None, body: bytes) -> dict[str, Any]:
    record = json.loads(body, parse_constant=str)
    if _UNSTORABLE.search(body):
        record = sanitized(record)
    kind = Kind.ACCESS if is_access_line(record) else Kind.SYSTEM if job_id is None else Kind.JOB
    return {"kind": kind, "service": service, "job_id": job_id, "log_id": UUID(record["log_id"]), "record": record}
