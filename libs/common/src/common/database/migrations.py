"""Alembic without an ini file: each service's history travels inside its package."""

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

_TEMPLATE = Path(__file__).with_name("revision.py.mako")


class SchemaOutdated(RuntimeError):
    """The database's schema is not the one this code was written for."""


def migrate(db_url: str, migrations: str) -> None:
    """Bring the database to the newest revision; `migrations` is the import path of the package with env.py."""
    command.upgrade(_config(migrations, db_url), "head")


def revision(db_url: str, migrations: str, message: str) -> Path:
    """Write a new revision from the difference between the tables and a fully migrated database; return its path."""
    config = _config(migrations, db_url)
    with _template_in(Path(config.get_main_option("script_location") or "")):
        script = command.revision(config, message=message, autogenerate=True)
    assert script is not None
    assert not isinstance(script, list)
    return Path(script.path)


async def require_current(engine: AsyncEngine, migrations: str) -> None:
    """Raise SchemaOutdated unless the database stands at the newest revision of the package."""
    expected = set(ScriptDirectory.from_config(_config(migrations, "")).get_heads())

    def found(connection: Connection) -> set[str]:
        return set(MigrationContext.configure(connection).get_current_heads())

    async with engine.connect() as connection:
        actual = await connection.run_sync(found)
    if actual != expected:
        service = migrations.partition(".")[0]
        raise SchemaOutdated(
            f"the schema of {service} is at revision {_names(actual)}, this code needs {_names(expected)}:"
            f" run `python -m {service} migrate` first"
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


def _apart(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end whether or not this thread already runs an event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, coroutine).result()


def _config(migrations: str, db_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder(migrations)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(year)d%%(month).2d%%(day).2d_%%(hour).2d%%(minute).2d_%%(slug)s")
    config.set_main_option("timezone", "UTC")
    config.attributes["db_url"] = db_url
    return config


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
