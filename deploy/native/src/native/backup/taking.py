"""Taking a backup while jobs run: the rows of one moment first, then the objects that they speak of.

Object keys are never written twice with other contents, so what the rows of that moment refer to is in the store
afterwards as well; results that were written meanwhile do no harm. What is deleted meanwhile is noted, and deleted
again when the backup is restored (decision 0022).
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from common.storage import ObjectInfo, ObjectMissing, ObjectStore, keys
from native.programs import ProgramError

from . import rows
from .archive import OBJECTS, ROWS, ArchiveWriter
from .places import Places

FORMAT: Final = 1
_UNFINISHED: Final = ("queued", "processing", "enriching")
_CONNECT_SECONDS: Final = 30

Say = Callable[[str], None]


@dataclass
class _Jobs:
    """The jobs of the moment: the recording's SHA-256 by id, and those that still need all that they have stored."""

    recordings: dict[UUID, bytes] = field(default_factory=dict)
    unfinished: set[UUID] = field(default_factory=set)


def file_for(target: Path) -> Path:
    """The target itself, or a new file in it if it is a folder; raises ProgramError if the file is there already."""
    path = target / f"verbatim-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar" if target.is_dir() else target
    if path.exists():
        raise ProgramError(f"{path} is there already")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def back_up(places: Places, path: Path, say: Say) -> dict[str, Any]:
    """Write a backup to a new file and return its manifest.

    Raises ProgramError, and the errors of the database or the object store; then there is no file.
    """
    store = ObjectStore(places.storage)
    archive = ArchiveWriter(path)
    try:
        created_at = datetime.now(UTC).isoformat()
        manifest: dict[str, Any] = {"format": FORMAT, "created_at": created_at, "services": {}}
        jobs = _Jobs()
        for group in places.groups():
            await _rows_of_one_moment(places, group, archive, manifest["services"], jobs)
        say(f"Rows of {len(jobs.recordings)} jobs are written; now their objects.")
        manifest["objects"] = await _objects(store, archive, jobs)
        manifest["deleted_meanwhile"] = await _deleted(places, jobs)
        archive.complete(manifest)
    except BaseException:
        archive.discard()
        raise
    finally:
        await store.close()
    objects = manifest["objects"]
    say(f"{path}: {objects['count']} objects, {objects['bytes'] / 1e6:.1f} MB of them.")
    for what in ("missing", "altered"):
        if objects[what]:
            say(f"{len(objects[what])} recordings are {what} in the store, the first of them {objects[what][0]}.")
    return manifest


async def _rows_of_one_moment(
    places: Places, group: list[str], archive: ArchiveWriter, services: dict[str, Any], jobs: _Jobs
) -> None:
    """Write the rows of the services in one database, all as they were when the first of them was asked."""
    async with AsyncExitStack() as stack:
        connections: dict[str, Any] = {}
        snapshot: str | None = None
        for service in group:
            connection = await asyncpg.connect(places.libpq(service), timeout=_CONNECT_SECONDS)
            stack.push_async_callback(connection.close)
            await stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
            if snapshot is None:
                snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            else:
                await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            connections[service] = connection
        for service, connection in connections.items():
            services[service] = await _service(connection, service, archive)
        if "jobs" in connections:
            query = "SELECT id, sha256, state FROM jobs"
            async for job in connections["jobs"].cursor(query, prefetch=1000):
                jobs.recordings[job["id"]] = bytes.fromhex(job["sha256"])
                if job["state"] in _UNFINISHED:
                    jobs.unfinished.add(job["id"])


async def _service(connection: Any, service: str, archive: ArchiveWriter) -> dict[str, Any]:
    try:
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        raise ProgramError(f"the schema of {service} is empty: there is nothing to back up") from None
    written = await rows.tables(connection, service)
    for table in written:
        part = 0

        def write(data: bytes, name: str = table["name"]) -> None:
            nonlocal part
            archive.add(f"{ROWS}{service}/{name}/{part:06d}", data)
            part += 1

        table["rows"] = await rows.dump(connection, table["name"], table["columns"], write)
    # Numbers are given out without regard to transactions: read last, they are beyond every row of the snapshot.
    return {"revision": revision, "tables": written, "sequences": await rows.sequences(connection)}


async def _objects(store: ObjectStore, archive: ArchiveWriter, jobs: _Jobs) -> dict[str, Any]:
    """Write the objects of these jobs; unfinished ones first, whose chunk audio goes some time after their end."""
    written: dict[str, Any] = {"count": 0, "bytes": 0, "altered": [], "missing": []}
    there: set[UUID] = set()

    async def keep(found: AsyncIterator[ObjectInfo], wanted: Callable[[UUID], bool]) -> None:
        async for info in found:
            job_id = _job_of(info.key)
            if job_id is None or not wanted(job_id):
                continue
            sha256 = await _object(store, archive, info)
            if sha256 is None:
                continue
            written["count"] += 1
            written["bytes"] += info.size
            if info.key == keys.source(job_id):
                there.add(job_id)
                if bytes.fromhex(sha256) != jobs.recordings[job_id]:
                    written["altered"].append(info.key)

    for job_id in jobs.unfinished:
        for prefix in keys.prefixes(job_id):
            await keep(store.list(prefix), lambda _: True)
    rest = jobs.recordings.keys() - jobs.unfinished
    for prefix in (keys.UPLOADS, keys.JOBS, keys.TRANSCRIPTS):
        await keep(store.list(prefix), rest.__contains__)
    written["missing"] = sorted(keys.source(job_id) for job_id in jobs.recordings.keys() - there)
    return written


async def _object(store: ObjectStore, archive: ArchiveWriter, info: ObjectInfo) -> str | None:
    """Write one object; None if it was deleted since it was listed."""
    blocks = store.open(info.key)
    try:
        first = await anext(blocks, b"")
    except ObjectMissing:
        return None

    async def content() -> AsyncIterator[bytes]:
        if first:
            yield first
        async for block in blocks:
            yield block

    return await archive.add_stream(f"{OBJECTS}{info.key}", info.size, content())


async def _deleted(places: Places, jobs: _Jobs) -> list[str]:
    """The jobs that were deleted while their objects were copied: of those some may be missing."""
    connection = await asyncpg.connect(places.libpq("jobs"), timeout=_CONNECT_SECONDS)
    try:
        alive: set[UUID] = set()
        for page in _pages(list(jobs.recordings)):
            alive.update(row["id"] for row in await connection.fetch("SELECT id FROM jobs WHERE id = ANY ($1)", page))
    finally:
        await connection.close()
    return sorted(str(job_id) for job_id in jobs.recordings.keys() - alive)


def _pages(ids: list[UUID]) -> Iterable[list[UUID]]:
    return (ids[start : start + 10_000] for start in range(0, len(ids), 10_000))


def _job_of(key: str) -> UUID | None:
    try:
        return UUID(key.split("/")[1])
    except (IndexError, ValueError):
        return None
