"""The log archive: takes the platform's log lines off the bus in batches, numbers them, and tells who watches."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.messaging import ArchivedLine, ArchivedLines, RawMessage, records_of
from common.web.middleware import is_access_line

from . import metrics
from .repository import LogRepository
from .repository.archive import Kind
from .settings import Settings
from .storable import storable

Tell = Callable[[ArchivedLines], Awaitable[object]]

log = structlog.get_logger(__name__)

_PRUNE_INTERVAL_SECONDS = 60.0
_PRUNE_BATCH = 10_000
_TELL_SECONDS = 1.0

# Escapes that may stand for what cannot be stored; nearly no line has one, so nearly none is walked through.
_UNSTORABLE = re.compile(rb"\\u(?:0000|d[89a-f])", re.IGNORECASE)


class LogArchive:
    """Stores log lines, tells everybody who watches, and removes lines when they are old or too many."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], settings: Settings, tell: Tell) -> None:
        """Connects when it runs."""
        self._sessions = sessions
        self._settings = settings
        self._tell = tell

    async def store(self, messages: Sequence[RawMessage]) -> None:
        """Archive a batch and tell of it."""
        lines = [line for message in messages for line in _lines(message)]
        if not lines:
            return
        # Records travel by routing key, so that a job's warning may have overtaken what was said before it.
        lines.sort(key=lambda line: str(line["record"].get("timestamp", "")))
        async with self._sessions.begin() as session:
            previous, added = await LogRepository(session).append(lines)
        metrics.LOG_LINES.inc(len(added))
        if added:
            watched = [_announced(seq, line) for seq, line in added if line["kind"] != Kind.ACCESS]
            await self._tell(ArchivedLines(previous, upto=added[-1][0], lines=watched))

    async def run(self) -> None:
        """Prune for ever."""
        while True:
            while await self.prune():
                pass
            await asyncio.sleep(_PRUNE_INTERVAL_SECONDS)

    async def tell_head(self) -> None:
        """Tell for ever how far the archive was a second ago, so that who missed the last lines of all finds out.

        Not how far it is now: that would overtake lines that are stored and still being told.
        """
        while True:
            async with self._sessions() as session:
                head = await LogRepository(session).head()
            await asyncio.sleep(_TELL_SECONDS)
            await self._tell(ArchivedLines(previous=head, upto=head))

    async def prune(self) -> bool:
        """Remove some of what is older or more than the settings allow; return whether there may be more."""
        removed = dict.fromkeys(Kind, 0)
        for kind in Kind:
            age, keep = self._settings.log_limits(of_jobs=kind is Kind.JOB)
            async with self._sessions.begin() as session:
                removed[kind] = await LogRepository(session).prune(kind, older_than=age, keep=keep, batch=_PRUNE_BATCH)
        if any(removed.values()):
            log.info("log lines pruned", **removed)
        return max(removed.values()) == _PRUNE_BATCH


def _announced(seq: int, line: dict[str, Any]) -> ArchivedLine:
    job_id: UUID | None = line["job_id"]
    return ArchivedLine.of(seq, str(job_id) if job_id else None, line["record"])


def _lines(message: RawMessage) -> Iterator[dict[str, Any]]:
    """The lines that a message carries; what is none is passed over."""
    service, _, rest = message.routing_key.partition(".")
    job = rest.rpartition(".")[2]
    for body in records_of(message.body):
        try:
            yield _line(service, None if job == "-" else UUID(job), body)
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not logged: a line about an unreadable line would come back here.
            metrics.LOG_LINES_UNREADABLE.inc()


def _line(service: str, job_id: UUID | None, body: bytes) -> dict[str, Any]:
    record = json.loads(body, parse_constant=str)
    if _UNSTORABLE.search(body):
        record = storable(record)
    kind = Kind.ACCESS if is_access_line(record) else Kind.SYSTEM if job_id is None else Kind.JOB
    return {"kind": kind, "service": service, "job_id": job_id, "log_id": UUID(record["log_id"]), "record": record}
