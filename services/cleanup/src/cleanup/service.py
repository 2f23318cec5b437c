"""Decisions on requests of administrators: list and delete files, order a reset."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import ResetRequested, keys
from common.messaging import outbox
from common.storage import ObjectInfo, ObjectMissing, ObjectStore
from common.web import cursors

from .errors import FileInUse, FileNotFound, NotConfirmed
from .files.placement import ROOTS, job_of_folder, placed
from .repository.jobs import JobRepository, wake_sweepers
from .schemas import JOBS, JOBS_AND_USERS, FilePage, FileView, Kind, NewReset, ResetView
from .tables import ResetOrder, State

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FileFilter:
    """A filter of files; None: any kind, job or owner."""

    kind: Kind | None = None
    job_id: UUID | None = None
    owner_id: UUID | None = None


class Files:
    """The stored files and the known jobs, in the transaction of the caller."""

    def __init__(self, session: AsyncSession, store: ObjectStore) -> None:
        self._jobs = JobRepository(session)
        self._store = store

    async def page(self, wanted: FileFilter, *, limit: int, cursor: str | None) -> FilePage:
        """Return up to `limit` files after the cursor; raises InvalidCursor."""
        after = None if cursor is None else position(cursor)
        found: list[ObjectInfo] = []
        async for item in self._walk(wanted, after):
            found.append(item)
            if len(found) > limit:
                break
        shown = found[:limit]
        return FilePage(
            items=await self._described(shown),
            next_cursor=cursors.encode(shown[-1].key) if len(found) > limit else None,
        )

    async def delete(self, key: str, by: UUID) -> None:
        """Delete a file; raises FileNotFound, FileInUse."""
        where = placed(key)
        if where is None:
            raise FileNotFound(f"There is no file {key} of a job.")
        _, job_id = where
        # Lock the row: no event makes the job live again before its file is deleted.
        job = await self._jobs.lock(job_id)
        try:
            size = (await self._store.stat(key)).size
        except ObjectMissing:
            raise FileNotFound(f"There is no file {key}.") from None
        if job is None:
            raise FileInUse(
                "No event about the job of this file has arrived yet. Without one, the file expires as an orphan."
            )
        if job.state == State.LIVE:
            raise FileInUse("The job of this file is not finished. Cancel or delete the job first.", job_id=job_id)
        await self._store.delete(key)
        with context.bound(job_id=job_id):
            log.warning("file deleted on request", key=key, size=size, requested_by=str(by))

    async def _walk(self, wanted: FileFilter, after: str | None) -> AsyncIterator[ObjectInfo]:
        for prefix in await self._prefixes(wanted):
            if after is not None and after > prefix and not after.startswith(prefix):
                continue
            async for item in self._store.list(prefix, after=after if after and after.startswith(prefix) else None):
                where = placed(item.key)
                if where is not None and wanted.kind in (None, where[0]):
                    yield item

    async def _prefixes(self, wanted: FileFilter) -> list[str]:
        """The prefixes to list, in the order of the keys."""
        roots = sorted({ROOTS[each] for each in Kind if wanted.kind in (None, each)})
        folders = [""] if wanted.job_id is None else [f"{wanted.job_id}/"]
        if wanted.owner_id is not None:
            owned = [f"{job_id}/" for job_id in await self._jobs.owned(wanted.owner_id)]
            folders = sorted(set(owned) & set(folders) if wanted.job_id else owned)
        return [root + folder for root in roots for folder in folders]

    async def _described(self, found: list[ObjectInfo]) -> list[FileView]:
        places = [where for item in found if (where := placed(item.key)) is not None]
        known = await self._jobs.known({job_id for _, job_id in places})
        views = []
        for item, (kind, job_id) in zip(found, places, strict=True):
            job = known.get(job_id)
            views.append(
                FileView(
                    key=item.key,
                    kind=kind,
                    size=item.size,
                    modified=item.modified,
                    job_id=job_id,
                    owner_id=job and job.owner_id,
                    file_name=job and job.file_name,
                    job_state=job and job.state,
                )
            )
        return views


def position(cursor: str) -> str:
    """The key that a cursor contains; raises InvalidCursor."""
    key = cursors.decode(cursor)
    if not isinstance(key, str) or placed(key) is None:
        raise cursors.InvalidCursor
    return key


class Reset:
    """Orders resets in the transaction of the caller."""

    def __init__(self, session: AsyncSession, store: ObjectStore) -> None:
        self._session = session
        self._store = store

    async def order(self, new: NewReset, by: UUID) -> ResetView:
        """Order a reset: publish it, and store the resumable uploads to abort; raises NotConfirmed."""
        expected = JOBS_AND_USERS if new.users else JOBS
        if new.confirmation != expected:
            raise NotConfirmed(
                f"The confirmation is missing or wrong. Send the confirmation: {expected}", expected=expected
            )
        # Listed now, so that an upload begun later is kept, however late the sweeper runs.
        uploads = [each async for name in self._store.folders(keys.RESUMABLE) if (each := job_of_folder(name))]
        event = ResetRequested(requested_by=by, users=new.users)
        outbox.add(self._session, event)
        view = ResetView(requested_at=event.occurred_at, requested_by=by, users=new.users, uploads=len(uploads))
        self._session.add(ResetOrder(**view.model_dump() | {"uploads": uploads}))
        wake_sweepers(self._session)
        log.warning("reset requested", requested_by=str(by), users=new.users, uploads=len(uploads))
        return view
