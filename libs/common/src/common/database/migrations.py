"""Alembic without an ini file: each service's history travels inside its package.

Beside the revision the database remembers the whole lineage that led to it, as the comment of Alembic's own table. So
code that is older than the schema can distinguish a newer schema, which it may use, from a foreign one.
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
    """The database schema is older than this code needs, or has a revision of another history."""


def migrate(db_url: str, migrations: str, *, to: str = "head") -> None:
    """Bring the database to a revision; `migrations` is the import path of the package with env.py.

    A newer schema than this code's is not changed: the previous release must be able to start beside it.
    Raises SchemaOutdated, and changes nothing, if the schema has a revision that is not of this history.
    """
    config = _config(migrations, db_url)
    if to == "head":
        state = _run_in_thread(_schema_state(db_url, config))
        if state.is_newer:
            log.info("schema is newer than this code", schema=_names(state.actual), code=_names(state.expected))
            return
        if not state.is_older:
            raise _refusal(migrations, state)
    command.upgrade(config, to)


def revisions(migrations: str) -> list[str]:
    """The revisions of a package, oldest first."""
    script = ScriptDirectory.from_config(_config(migrations, ""))
    return [each.revision for each in script.walk_revisions()][::-1]


def revision(db_url: str, migrations: str, message: str) -> Path:
    """Write a new revision from the difference between the tables and a fully migrated database; return its path.

    Revisions are numbered, `<service>_0001` and so on: a number shows the order, a random identifier does not.
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

    Migrations only ever add (see decision 0023), so code runs on the schema of the next release.
    """
    async with engine.connect() as connection:
        state = await connection.run_sync(_read_state, _config(migrations, ""))
    if state.is_newer:
        log.info("schema is newer than this code", schema=_names(state.actual), code=_names(state.expected))
    elif state.actual != state.expected:
        raise _refusal(migrations, state)


@dataclass(frozen=True, slots=True)
class _SchemaState:
    """Revisions: of the database, its history, those that the code needs, and all that the code has."""

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


def _refusal(migrations: str, state: _SchemaState) -> SchemaOutdated:
    service = _service(migrations)
    advice = (
        f"run `python -m {service} migrate` first"
        if state.is_older
        else "that revision is not part of this code's history, so check that DB_URL names the right database. The data"
        " of a development system from before the first release cannot be migrated: delete it with `make clean-data`"
    )
    return SchemaOutdated(
        f"the schema of {service} is at revision {_names(state.actual)}, this code needs"
        f" {_names(state.expected)}: {advice}"
    )


async def _schema_state(db_url: str, config: Config) -> _SchemaState:
    engine = create_async_engine(db_url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_read_state, config)
    finally:
        await engine.dispose()


def _read_state(connection: Connection, config: Config) -> _SchemaState:
    script = ScriptDirectory.from_config(config)
    comment = connection.scalar(text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"))
    return _SchemaState(
        actual=set(MigrationContext.configure(connection).get_current_heads()),
        lineage=set((comment or "").split()),
        expected=set(script.get_heads()),
        known={each.revision for each in script.walk_revisions()},
    )


def run_env(metadata: MetaData) -> None:
    """Run the migrations that Alembic asked for; the body of every service's migrations/env.py."""
    _run_in_thread(_run_online(context.config.attributes["db_url"], metadata))


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
        # Two replicas may migrate at the same time: the second waits, then has nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('migrations/' || current_schema()))"))
        # A migration that waits for a long transaction would block all other transactions.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        context.run_migrations()
        _write_lineage(connection)


def _write_lineage(connection: Connection) -> None:
    """Store the history of the current revision as a comment of the table alembic_version."""
    heads = context.get_context().get_current_heads()
    if heads:
        lineage = [each.revision for each in context.script.iterate_revisions(heads, "base")]
        # COMMENT takes no parameters; revisions are not user input.
        connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{' '.join(reversed(lineage))}'"))


def _run_in_thread(coroutine: Coroutine[Any, Any, T]) -> T:
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
    """Copy the shared template beside env.py for the time of the call, where Alembic expects it."""
    copied = folder / "script.py.mako"
    copied.write_text(_TEMPLATE.read_text())
    try:
        yield
    finally:
        copied.unlink()


def _names(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions)) or "none"
