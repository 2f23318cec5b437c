"""The stored files of all jobs: what there is, whose it is, and deleting one that no live job refers to."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.storage import ObjectInfo, ObjectMissing, ObjectStore, keys
from common.web import cursors

from .errors import FileInUse, FileNotFound
from .repository import JobRepository
from .tables import State

log = structlog.get_logger(__name__)


# What we name files: nothing that a path or a request could be confused by.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


class Kind(StrEnum):
    """What a file is for."""

    UPLOADS = "uploads"
    CHUNKS = "chunks"
    RESULTS = "results"
    TRANSCRIPTS = "transcripts"


ROOTS: dict[Kind, str] = {
    Kind.CHUNKS: keys.JOBS,
    Kind.RESULTS: keys.JOBS,
    Kind.TRANSCRIPTS: keys.TRANSCRIPTS,
    Kind.UPLOADS: keys.UPLOADS,
}


def placed(key: str) -> tuple[Kind, UUID] | None:
    """The kind and the job of a file; None for what somebody else keeps in the bucket."""
    root, _, rest = key.partition("/")
    folder, _, name = rest.partition("/")
    try:
        job_id = UUID(folder)
    except ValueError:
        return None
    if str(job_id) != folder or _NAME.fullmatch(name) is None:
        return None
    if root == "jobs":
        return (Kind.RESULTS if name.partition("/")[2].startswith("results/") else Kind.CHUNKS), job_id
    return (Kind(root), job_id) if root in (Kind.UPLOADS, Kind.TRANSCRIPTS) else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files are asked for; None = whatever kind, job or owner."""

    kind: Kind | None = None
    job_id: UUID | None = None
    owner_id: UUID | None = None


class FileView(BaseModel):
    """A stored file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "uploads/4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10/source",
                    "kind": "uploads",
                    "size": 1_048_576,
                    "modified": "2026-01-31T12:00:00Z",
                    "job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
                    "owner_id": "d4c1a2b3-0f5e-4b6a-8c7d-9e0f1a2b3c4d",
                    "file_name": "interview.m4a",
                    "job_state": "completed",
                }
            ]
        }
    )

    key: str
    kind: Kind = Field(
        description="uploads: recordings. chunks: plans and chunk audio. results: of chunks. transcripts."
    )
    size: int = Field(description="Bytes.")
    modified: datetime
    job_id: UUID
    owner_id: UUID | None = Field(description="Null: no event told of the job (yet).")
    file_name: str | None = Field(description="What the recording was called when it was uploaded.")
    job_state: str | None = Field(description="live, completed, failed, cancelled or deleted; null: unknown.")


class FilePage(BaseModel):
    """Some files, in the order of their keys."""

    items: list[FileView]
    next_cursor: str | None = Field(description="Pass it back to get what follows; null = this is the end.")


class Files:
    """Looks at the store and at what is known of the jobs."""

    def __init__(self, session: AsyncSession, store: ObjectStore) -> None:
        """Work in the given session; the caller commits."""
        self._jobs = JobRepository(session)
        self._store = store

    async def page(self, wanted: Wanted, *, limit: int, cursor: str | None) -> FilePage:
        """Return up to `limit` files behind the cursor; raises InvalidCursor."""
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
            raise FileNotFound(f"there is no file {key} of a job")
        _, job_id = where
        # Locked: the job cannot become live again, as far as we hear, while its file goes.
        job = await self._jobs.lock(job_id)
        try:
            size = (await self._store.stat(key)).size
        except ObjectMissing:
            raise FileNotFound(f"there is no file {key}") from None
        if job is None:
            raise FileInUse("no event has told of this file's job yet; if none ever does, it goes as an orphan")
        if job.state == State.LIVE:
            raise FileInUse("the job is not finished; cancel or delete it first", job_id=job_id)
        await self._store.delete(key)
        with context.bound(job_id=job_id):
            log.warning("file deleted by an administrator", key=key, size=size, by=str(by))

    async def _walk(self, wanted: Wanted, after: str | None) -> AsyncIterator[ObjectInfo]:
        for prefix in await self._prefixes(wanted):
            if after is not None and after > prefix and not after.startswith(prefix):
                continue
            async for item in self._store.list(prefix, after=after if after and after.startswith(prefix) else None):
                where = placed(item.key)
                if where is not None and wanted.kind in (None, where[0]):
                    yield item

    async def _prefixes(self, wanted: Wanted) -> list[str]:
        """Where to look, in the order of the keys."""
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
    """The key in a cursor; raises InvalidCursor."""
    key = cursors.decode(cursor)
    if not isinstance(key, str) or placed(key) is None:
        raise cursors.InvalidCursor
    return key
