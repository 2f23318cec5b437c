"""Alembic without an ini file: each service's history travels inside its package.

Beside the revision the database remembers the whole lineage that led to it, as the comment of Alembic's own table. So
code that is older than the schema can tell a newer schema, which it may serve on, from a foreign one.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

T = TypeVar("T")

_TEMPLATE = Path(__file__).with_name("revision.py.mako")


log = structlog.get_logger(__name__)


class SchemaOutdated(RuntimeError):
    """The database's schema lacks what this code was written for, or is another history's."""


def migrate(db_url: str, migrations: str, *, to: str = "head") -> None:
    """Bring the database to a revision; `migrations` is the import path of the package with env.py.

    A schema that is newer than this code is left as it is: the release before must be able to start beside it.
    Raises SchemaOutdated, and changes nothing, if the schema has a revision that is not of this history.
    """
    config = _config(migrations, db_url)
    if to == "head":
        standing = _apart(_standing(db_url, config))
        if standing.is_newer:
            log.info("schema is newer than this code", schema=_names(standing.actual), code=_names(standing.expected))
            return
        if not standing.is_older:
            raise _refusal(migrations, standing)
    command.upgrade(config, to)


def revisions(migrations: str) -> list[str]:
    """The history of a package, oldest first."""
    script = ScriptDirectory.from_config(_config(migrations, ""))
    return [each.revision for each in script.walk_revisions()][::-1]


def revision(db_url: str, migrations: str, message: str) -> Path:
    """Write a new revision from the difference between the tables and a fully migrated database; return its path.

    Revisions are numbered, `<service>_0001` and so on: a number says how far a schema has come, a random word does not.
    """
    config = _config(migrations, db_url)
    number = f"{_service(migrations)}_{len(revisions(migrations)) + 1:04}"
    with _template_in(Path(config.get_main_option("script_location") or "")):
        script = command.revision(config, message=message, autogenerate=True, rev_id=number)
    assert script is not None
    assert not isinstance(script, list)
    return Path(script.path)


async def require_current(engine: AsyncEngine, migrations: str) -> None:
    """Raise SchemaOutdated unless the database has every revision of the package; it may have later ones.

    Migrations only ever add (see decision 0023), so code runs on the schema of the release after its own.
    """
    async with engine.connect() as connection:
        standing = await connection.run_sync(_found, _config(migrations, ""))
    if standing.is_newer:
        log.info("schema is newer than this code", schema=_names(standing.actual), code=_names(standing.expected))
    elif standing.actual != standing.expected:
        raise _refusal(migrations, standing)


@dataclass(frozen=True, slots=True)
class _Standing:
    """Revisions: where the database is, what led there, what the code needs, and all that the code knows."""

    actual: set[str]
    lineage: set[str]
    expected: set[str]
    known: set[str]

    @property
    def is_older(self) -> bool:
        return self.actual <= self.known

    @property
    def is_newer(self) -> bool:
        return not self.is_older and self.expected <= self.lineage


def _refusal(migrations: str, standing: _Standing) -> SchemaOutdated:
    service = _service(migrations)
    advice = (
        f"run `python -m {service} migrate` first"
        if standing.is_older
        else "that revision is not part of this code's history, so check that DB_URL names the right database. The data"
        " of a development system from before the first release cannot be migrated: delete it with `make clean-data`"
    )
    return SchemaOutdated(
        f"the schema of {service} is at revision {_names(standing.actual)}, this code needs"
        f" {_names(standing.expected)}: {advice}"
    )


async def _standing(db_url: str, config: Config) -> _Standing:
    engine = create_async_engine(db_url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_found, config)
    finally:
        await engine.dispose()


def _found(connection: Connection, config: Config) -> _Standing:
    script = ScriptDirectory.from_config(config)
    comment = connection.scalar(text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"))
    return _Standing(
        actual=set(MigrationContext.configure(connection).get_current_heads()),
        lineage=set((comment or "").split()),
        expected=set(script.get_heads()),
        known={each.revision for each in script.walk_revisions()},
    )


def run_env(metadata: MetaData) -> None:
    """Run the migrations that Alembic asked for; the body of every service's migrations/env.py."""
    _apart(_run_online(context.config.attributes["db_url"], metadata))


async def _run_online(db_url: str, metadata: MetaData) -> None:
    engine = create_async_engine(db_url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run, metadata)
            await connection.commit()
    finally:
        await engine.dispose()


def _run(connection: Connection, metadata: MetaData) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        # Two replicas may be told to migrate at the same moment: the second waits, then finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('migrations/' || current_schema()))"))
        # A migration that queues behind a long transaction would make everybody else queue behind the migration.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        context.run_migrations()
        _write_lineage(connection)


def _write_lineage(connection: Connection) -> None:
    """Remember what led to the revision that the database is at now."""
    heads = context.get_context().get_current_heads()
    if heads:
        lineage = [each.revision for each in context.script.iterate_revisions(heads, "base")]
        # A comment takes no parameters; revisions are words of our own.
        connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{' '.join(reversed(lineage))}'"))


def _apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end whether or not this thread already runs an event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def _config(migrations: str, db_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder(migrations)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["db_url"] = db_url
    return config


def _service(migrations: str) -> str:
    return migrations.partition(".")[0]


def _folder(migrations: str) -> Path:
    spec = find_spec(migrations)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {migrations}")
    return Path(next(iter(spec.submodule_search_locations)))


@contextmanager
def _template_in(folder: Path) -> Iterator[None]:
    """Lend the shared template to Alembic, which insists on finding one beside each env.py."""
    lent = folder / "script.py.mako"
    lent.write_text(_TEMPLATE.read_text())
    try:
        yield
    finally:
        lent.unlink()


def _names(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions)) or "none"
