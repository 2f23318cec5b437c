"""Bringing a backup back into a system that has never run, and having its unfinished jobs go on."""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from common import database
from common.events import JobDeleted
from common.storage import ObjectStore
from native.programs import ProgramError, run

from . import rows
from .archive import OBJECTS, ROWS, Member, members, verified
from .places import SERVICES, Places
from .taking import FORMAT, Say

# auth publishes no events.
_WITH_OUTBOX: Final = ("jobs", "metadata", "cleanup")
_CONNECT_SECONDS: Final = 30


async def restore(places: Places, path: Path, say: Say) -> dict[str, Any]:
    """Restore a backup; the schema is brought to this release's. Returns the manifest.

    Raises ProgramError before anything is written if the file is damaged or of a newer release, or the system is not
    empty; after that the errors of the database or the object store; then the system must not be used.
    """
    say("Checking every byte of the backup.")
    manifest = verified(path)
    require_readable(manifest)
    store = ObjectStore(places.storage)
    try:
        await _require_empty(places, store)
        for service in SERVICES:
            await _migrate(places, service, to=manifest["services"][service]["revision"])
        say(f"Bringing {manifest['objects']['count']} objects back.")
        await _objects(store, path)
        say("Bringing the rows back.")
        await _rows(places, path, manifest)
    finally:
        await store.close()
    for service in SERVICES:
        await _migrate(places, service, to="head")
    await _delete_again(places, manifest["deleted_meanwhile"])
    for service in _WITH_OUTBOX:
        environment = {**os.environ, "DB_URL": places.databases[service]}
        await run([sys.executable, "-m", service, "reannounce"], env=environment)
    say("Restored. Unfinished jobs continue when the services start; sessions stay valid after a refresh.")
    return manifest


def require_readable(manifest: dict[str, Any]) -> None:
    """Raise ProgramError unless this release supports the format and the schemas of a backup."""
    if manifest.get("format") != FORMAT:
        raise ProgramError(f"the backup has the format {manifest.get('format')}, this release reads {FORMAT}")
    for service in SERVICES:
        revision = manifest["services"][service]["revision"]
        if revision not in database.revisions(f"{service}.migrations"):
            raise ProgramError(
                f"the backup's schema of {service} ({revision}) is not part of this code's history: the backup was made"
                " by a newer release, or before the first one, so restore it with the code that made it"
            )


async def _require_empty(places: Places, store: ObjectStore) -> None:
    """Raise ProgramError unless neither the schemas nor the bucket hold anything."""
    for service in SERVICES:
        connection = await asyncpg.connect(places.libpq(service), timeout=_CONNECT_SECONDS)
        try:
            empty = await rows.is_empty(connection)
        finally:
            await connection.close()
        if not empty:
            raise ProgramError(
                f"the schema of {service} has tables already: restore into a system that was never started or migrated"
            )
    await store.ensure_bucket()
    async for info in store.list(""):
        raise ProgramError(f"the bucket is not empty ({info.key}): restore into an empty one")


async def _migrate(places: Places, service: str, *, to: str) -> None:
    await asyncio.to_thread(database.migrate, places.databases[service], f"{service}.migrations", to=to)


async def _objects(store: ObjectStore, path: Path) -> None:
    for member in members(path):
        if member.name.startswith(OBJECTS):
            key = member.name.removeprefix(OBJECTS)
            kind = "application/json" if key.endswith(".json") else "application/octet-stream"
            await store.put_stream(key, _blocks(member), kind)


async def _blocks(member: Member) -> AsyncIterator[bytes]:
    for block in member.blocks():
        yield block


async def _rows(places: Places, path: Path, manifest: dict[str, Any]) -> None:
    """Fill the tables of all services, each in one transaction, and commit none before all are full."""
    async with AsyncExitStack() as stack:
        connections: dict[str, Any] = {}
        for service in SERVICES:
            connection = await asyncpg.connect(places.libpq(service), timeout=_CONNECT_SECONDS)
            stack.push_async_callback(connection.close)
            await stack.enter_async_context(connection.transaction())
            await rows.clear(connection)
            connections[service] = connection
        columns = {
            (service, table["name"]): table["columns"]
            for service in SERVICES
            for table in manifest["services"][service]["tables"]
        }
        # The rows come before the objects, in the order in which tables can be filled.
        written = itertools.takewhile(lambda member: member.name.startswith(ROWS), members(path))
        for (service, table), parts in itertools.groupby(written, _table):
            await rows.load(connections[service], table, columns[service, table], _contents(parts))
        for service, connection in connections.items():
            await rows.go_on_counting(connection, manifest["services"][service]["sequences"])


def _table(member: Member) -> tuple[str, str]:
    _, service, table, _ = member.name.split("/")
    return service, table


def _contents(parts: Iterator[Member]) -> Iterator[bytes]:
    return (block for member in parts for block in member.blocks())


async def _delete_again(places: Places, deleted: list[str]) -> None:
    """Delete the jobs that were deleted while the backup was taken; publish this as jobs does."""
    if not deleted:
        return
    connection = await asyncpg.connect(places.libpq("jobs"), timeout=_CONNECT_SECONDS)
    try:
        async with connection.transaction():
            gone = await connection.fetch(
                "DELETE FROM jobs WHERE id = ANY ($1) RETURNING id, owner_id", [UUID(job_id) for job_id in deleted]
            )
            for row in gone:
                event = JobDeleted(job_id=row["id"], owner_id=row["owner_id"])
                await connection.execute(
                    "INSERT INTO outbox (message_id, exchange, routing_key, message_type, correlation_id, body)"
                    " VALUES ($1, 'events', $2, $2, $3, $4)",
                    event.event_id,
                    JobDeleted.routing_key,
                    event.correlation_id,
                    event.model_dump_json(),
                )
    finally:
        await connection.close()
