"""Remembers which migrations a database has, so that a start does not spend six CPU seconds on finding nothing to do.

A stamp records that the schema had this revision with these migration files. It counts only while the files and the
revision in the database are still the same; services check their schema themselves in any case.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from . import bootstrap, postgres
from .programs import Probe, Step
from .state import StateFolder

STAMPS = "migrations.json"


def is_current(state: StateFolder, port: int, service: str) -> Probe:
    """Whether the last migration of this service's schema is known to have been the newest."""

    async def current() -> bool:
        return state.read(STAMPS).get(service) == await _stamp(state, port, service)

    return current


def remember(state: StateFolder, port: int, service: str) -> Step:
    """A step that stamps the schema after its migration."""

    async def step() -> None:
        stamp = await _stamp(state, port, service)
        # Nothing is awaited between reading and writing: four migrations end at about the same moment.
        state.write(STAMPS, state.read(STAMPS) | {service: stamp})

    return step


async def _stamp(state: StateFolder, port: int, service: str) -> list[str | None]:
    return [_digest(service), await _revision(state, port, service)]


def _digest(service: str) -> str:
    """A hash over the service's migration files; finding the package does not import it."""
    spec = find_spec(service)
    assert spec is not None
    assert spec.origin is not None
    total = hashlib.sha256()
    for path in sorted((Path(spec.origin).parent / "migrations").rglob("*.py")):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


async def _revision(state: StateFolder, port: int, service: str) -> str | None:
    connection = await asyncpg.connect(postgres.admin_url(state, port, bootstrap.DATABASE))
    try:
        revision: str | None = await connection.fetchval(f'SELECT version_num FROM "{service}".alembic_version')  # noqa: S608 - a name from the fleet table
    except asyncpg.UndefinedTableError:
        return None
    else:
        return revision
    finally:
        await connection.close()
