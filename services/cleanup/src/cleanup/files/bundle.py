"""All finished transcripts in one zip file, created while it is sent: memory use does not depend on its size."""

import asyncio
import re
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cleanup.repository.jobs import JobRepository
from cleanup.tables import KnownJob, State
from common.events import keys
from common.storage import ObjectInfo, ObjectMissing, ObjectStore

from .placement import placed

log = structlog.get_logger(__name__)

Format = Literal["txt", "srt", "vtt", "json", "tsv", "all"]

_SEND_BYTES = 256 * 1024
_TRANSCRIPT = re.compile(r"transcripts/[0-9a-f-]{36}/a(?P<attempt>\d+)/transcript\.(?P<format>\w+)")
# Separators, characters that Windows refuses, and characters that hide or reverse parts of a name.
_UNFIT = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u200e\u200f\u202a-\u202e\u2066-\u2069]+')
_STEM_CHARACTERS = 80


class _Outgoing:
    """The unseekable file that a zip is written to; its bytes are taken in order."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        self._buffer += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: every write is available at once."""

    def close(self) -> None:
        """Do nothing: the remaining bytes can still be taken."""

    def take(self, at_least: int = 1) -> bytes:
        """Return the buffered bytes if there are at least so many."""
        if len(self._buffer) < at_least:
            return b""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


class Bundle:
    """The newest finished transcript of every job, and optionally the recordings."""

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], store: ObjectStore, *, fmt: Format, recordings: bool
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._format = fmt
        self._recordings = recordings

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the zip file; objects that are deleted meanwhile are left out."""
        outgoing = _Outgoing()
        archive = zipfile.ZipFile(outgoing, "w", zipfile.ZIP_DEFLATED, allowZip64=True)
        count = 0
        async for name, item in self._entries():
            info = zipfile.ZipInfo(name, _zip_time(item.modified))
            # Recordings are compressed already.
            stored = item.key.startswith(keys.UPLOADS)
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            blocks = self._store.open(item.key)
            try:
                first = await anext(blocks, b"")
            except ObjectMissing:
                continue
            count += 1
            with archive.open(info, "w", force_zip64=True) as entry:
                await asyncio.to_thread(entry.write, first)
                async for block in blocks:
                    await asyncio.to_thread(entry.write, block)
                    if data := outgoing.take(_SEND_BYTES):
                        yield data
            if data := outgoing.take(_SEND_BYTES):
                yield data
        archive.close()
        log.info("all transcripts downloaded", files=count, recordings=self._recordings)
        yield outgoing.take()

    async def _entries(self) -> AsyncIterator[tuple[str, ObjectInfo]]:
        """Names in the zip file and their objects, job by job."""
        async for job_id, files in self._jobs():
            newest = max(_attempt(item) for item in files)
            async with self._sessions() as session:
                job = (await JobRepository(session).known([job_id])).get(job_id)
            if job is not None and job.state == State.DELETED:
                continue
            name = _name(job_id, job)
            for item in files:
                match = _TRANSCRIPT.fullmatch(item.key)
                assert match is not None
                if int(match["attempt"]) == newest and self._format in ("all", match["format"]):
                    yield f"{name}.{match['format']}", item
            if self._recordings:
                async for item in self._store.list(keys.source(job_id)):
                    suffix = _suffix(job)
                    yield f"recordings/{name}{suffix}", item

    async def _jobs(self) -> AsyncIterator[tuple[UUID, Sequence[ObjectInfo]]]:
        """Every job with its transcripts, ordered by key."""
        pending: list[ObjectInfo] = []
        async for item in self._store.list(keys.TRANSCRIPTS):
            if _TRANSCRIPT.fullmatch(item.key) is None or placed(item.key) is None:
                continue
            if pending and _job(pending[0]) != _job(item):
                yield _job(pending[0]), pending
                pending = []
            pending.append(item)
        if pending:
            yield _job(pending[0]), pending


def _job(item: ObjectInfo) -> UUID:
    where = placed(item.key)
    assert where is not None
    return where[1]


def _attempt(item: ObjectInfo) -> int:
    match = _TRANSCRIPT.fullmatch(item.key)
    assert match is not None
    return int(match["attempt"])


def _name(job_id: UUID, job: KnownJob | None) -> str:
    """A unique name that every file system accepts: the name of the recording and the id of the job."""
    given = "" if job is None or job.file_name is None else job.file_name
    fit = " ".join(_UNFIT.sub(" ", given.rpartition(".")[0] or given).split())
    stem = fit.strip(" .")[:_STEM_CHARACTERS].strip(" .")
    return f"{stem} {job_id}" if stem else str(job_id)


def _suffix(job: KnownJob | None) -> str:
    ending = "" if job is None or job.file_name is None else job.file_name.rpartition(".")[2]
    return f".{ending.lower()}" if re.fullmatch(r"[A-Za-z0-9]{1,5}", ending) else ""


def _zip_time(moment: datetime) -> tuple[int, int, int, int, int, int]:
    return max(moment.timetuple()[:6], (1980, 1, 1, 0, 0, 0))
