"""Who may read which part of the log archive, and reading it piece by piece."""

from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.web import Identity
from jobs.errors import JobNotFound, LogNotFound
from jobs.logtext import line_of
from jobs.repository import JobRepository, LogRepository
from jobs.repository.archive import of_access, of_service, of_system
from jobs.tables import LogLine

SERVICES = ("auth", "cleanup", "gateway", "jobs", "metadata", "transcriber")
_PAGE = 1000


class LogReader:
    """The archive as one caller may see it."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._jobs = JobRepository(session)
        self._logs = LogRepository(session)

    async def require(self, identity: Identity, job_id: UUID) -> None:
        """Raise JobNotFound unless the job is the caller's, or the caller is an administrator."""
        job = await self._jobs.get(job_id)
        if job is None or not (identity.is_admin or job.owner_id == identity.user_id):
            raise JobNotFound(f"there is no job {job_id}")

    async def page(self, which: ColumnElement[bool], *, after: int, limit: int) -> tuple[list[LogLine], int]:
        """Return up to `limit` lines after a number, and the number up to which they are complete."""
        # The head first: what is visible up to it now stays so, whatever is added before the lines are read.
        head = await self._logs.head()
        lines = list(await self._logs.read(which, after=after, upto=head, limit=limit))
        return lines, lines[-1].seq if len(lines) == limit else head

    async def start(self, which: ColumnElement[bool], lines: int) -> int:
        """Return the number after which the newest so many lines follow."""
        return await self._logs.before_newest(which, lines)

    async def any(self, which: ColumnElement[bool]) -> bool:
        """Tell whether there is a line."""
        lines, _ = await self.page(which, after=0, limit=1)
        return bool(lines)


def log_named(name: str) -> ColumnElement[bool]:
    """The lines behind a file name of old: `<service>.log`, `access.log`, `system.log`; raises LogNotFound."""
    named = {"access.log": of_access(), "system.log": of_system()}
    named |= {f"{service}.log": of_service(service) for service in SERVICES}
    if name not in named:
        raise LogNotFound(f"there is no log of this name; there are {', '.join(sorted(named))}", names=sorted(named))
    return named[name]


async def text_after(
    sessions: async_sessionmaker[AsyncSession], which: ColumnElement[bool], after: int
) -> AsyncIterator[str]:
    """Yield the lines after a number as text, as far as the archive is now; a page at a time is in memory."""
    upto: int | None = None
    while upto is None or after < upto:
        async with sessions() as session:
            logs = LogRepository(session)
            upto = await logs.head() if upto is None else upto
            lines = await logs.read(which, after=after, upto=upto, limit=_PAGE)
        yield "".join(line_of(line.record) for line in lines)
        after = lines[-1].seq if len(lines) == _PAGE else upto
