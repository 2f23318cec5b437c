"""Reading the log archive piece by piece."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from jobs.errors import LogNotFound
from jobs.repository import LogRepository
from jobs.repository.logs import of_access, of_service, of_system
from jobs.tables import LogRecord

from .text import line_of

SERVICES = ("auth", "cleanup", "gateway", "jobs", "metadata", "transcriber")
_PAGE = 1000


async def read_page(
    logs: LogRepository, which: ColumnElement[bool], *, after: int, limit: int
) -> tuple[Sequence[LogRecord], int]:
    """Return up to `limit` records after a number, and the number up to which they are complete."""
    # The head first: records up to it stay visible, whatever is added before they are read.
    head = await logs.head()
    records = await logs.read(which, after=after, upto=head, limit=limit)
    return records, records[-1].seq if len(records) == limit else head


def log_named(name: str) -> ColumnElement[bool]:
    """Return the condition for a log file name: `<service>.log`, `access.log`, `system.log`; raises LogNotFound."""
    named = {"access.log": of_access(), "system.log": of_system()}
    named |= {f"{service}.log": of_service(service) for service in SERVICES}
    if name not in named:
        raise LogNotFound(f"There is no such log. The logs are {', '.join(sorted(named))}.", names=sorted(named))
    return named[name]


async def text_after(
    sessions: async_sessionmaker[AsyncSession], which: ColumnElement[bool], after: int
) -> AsyncIterator[str]:
    """Yield the records after a number as text, up to the present end; one page at a time is in memory."""
    upto: int | None = None
    while upto is None or after < upto:
        async with sessions() as session:
            logs = LogRepository(session)
            upto = await logs.head() if upto is None else upto
            records = await logs.read(which, after=after, upto=upto, limit=_PAGE)
        yield "".join(line_of(record.record) for record in records)
        after = records[-1].seq if len(records) == _PAGE else upto
