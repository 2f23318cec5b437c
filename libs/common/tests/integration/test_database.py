"""Connecting, waking and migrating against a real PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from textwrap import dedent

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from common import database
from common.database import DatabaseUnavailable, Notifications, SchemaOutdated, at_commit, is_outage
from common.messaging import outbox
from common.settings import DatabaseSettings
from common.testing import eventually
from native.testing import PostgresServer, free_port

from .common_plumbing import Outbox, Sessions, a_job_transcribed

pytestmark = pytest.mark.integration

FakePackage = Callable[[str], str]


@pytest.fixture
async def empty(db_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a schema without tables."""
    engine = database.create_engine(DatabaseSettings(db_url=db_url))
    yield engine
    await engine.dispose()


@pytest.fixture
def a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePackage:
    """Makes an importable service with tables and an empty history; returns the import path of its migrations."""

    def make(name: str) -> str:
        migrations = tmp_path / name / "migrations"
        (migrations / "versions").mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "tables.py").write_text(
            dedent("""
                from sqlalchemy.orm import DeclarativeBase
                from common import database
                class Base(DeclarativeBase):
                    metadata = database.metadata()
                class Outbox(database.OutboxMixin, Base): pass
                class Inbox(database.InboxMixin, Base): pass
            """)
        )
        (migrations / "env.py").write_text(
            f"from common.database import run_env\nfrom {name}.tables import Base\nrun_env(Base.metadata)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        return f"{name}.migrations"

    return make


async def test_a_schema_is_migrated_from_a_generated_revision_and_then_current(
    empty: AsyncEngine, db_url: str, a_package: FakePackage
) -> None:
    migrations = a_package("fresh_service")
    path = database.revision(db_url, migrations, "first tables")
    assert path.parent.name == "versions"
    assert path.name.endswith("_first_tables.py")
    assert "outbox_pending_idx" in path.read_text()

    with pytest.raises(SchemaOutdated, match=r"at revision none, .*python -m fresh_service migrate"):
        await database.require_current(empty, migrations)
    database.migrate(db_url, migrations)
    await database.require_current(empty, migrations)
    database.migrate(db_url, migrations)

    again = database.revision(db_url, migrations, "nothing").read_text()
    assert "op." not in again, "the tables and the migrated schema are the same"


async def test_an_old_schema_is_refused(empty: AsyncEngine, db_url: str, a_package: FakePackage) -> None:
    migrations = a_package("old_service")
    database.revision(db_url, migrations, "first")
    database.migrate(db_url, migrations)
    database.revision(db_url, migrations, "second")
    with pytest.raises(SchemaOutdated, match="old_service"):
        await database.require_current(empty, migrations)


async def test_a_newer_schema_is_served_and_left_alone_and_a_foreign_one_is_refused(
    empty: AsyncEngine, db_url: str, a_package: FakePackage
) -> None:
    migrations = a_package("rolling_service")
    database.revision(db_url, migrations, "first")
    database.migrate(db_url, migrations)
    newer = database.revision(db_url, migrations, "second")
    await asyncio.to_thread(database.migrate, db_url, migrations)
    first, second = database.revisions(migrations)

    newer.unlink()  # from here on this is the code of the release before
    assert database.revisions(migrations) == [first]
    await database.require_current(empty, migrations)
    database.migrate(db_url, migrations)
    async with empty.begin() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == second
        await connection.execute(text(f"COMMENT ON TABLE alembic_version IS 'other {second}'"))
    foreign = "not part of this code's history, so check that DB_URL .* `make clean-data`"
    with pytest.raises(SchemaOutdated, match=foreign):
        await database.require_current(empty, migrations)
    with pytest.raises(SchemaOutdated, match=foreign):
        database.migrate(db_url, migrations)


async def test_replicas_may_migrate_at_the_same_moment(
    empty: AsyncEngine, db_url: str, a_package: FakePackage, tmp_path: Path
) -> None:
    migrations = a_package("twin_service")
    database.revision(db_url, migrations, "first")
    program = f"from common.database import migrate; migrate({db_url!r}, {migrations!r})"
    replicas = [await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=tmp_path) for _ in range(3)]
    assert [await replica.wait() for replica in replicas] == [0, 0, 0]
    await database.require_current(empty, migrations)


async def test_a_migration_does_not_wait_for_a_lock_forever(
    empty: AsyncEngine, db_url: str, a_package: FakePackage
) -> None:
    migrations = a_package("stuck_service")
    database.revision(db_url, migrations, "first")
    database.migrate(db_url, migrations)
    second = database.revision(db_url, migrations, "second")
    second.write_text(second.read_text().replace("pass", 'op.execute("ALTER TABLE outbox ADD COLUMN x int")', 1))
    async with empty.begin() as reader:
        await reader.execute(text("SELECT * FROM outbox"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            await asyncio.to_thread(database.migrate, db_url, migrations)


async def test_an_absent_database_is_waited_for_and_then_reported() -> None:
    url = f"postgresql+asyncpg://nobody:secret@127.0.0.1:{free_port()}/nothing"
    engine = database.create_engine(DatabaseSettings(db_url=url))
    with pytest.raises(DatabaseUnavailable, match="2 attempts") as raised:
        await database.connect(engine, attempts=2)
    assert "secret" not in str(raised.value)
    await engine.dispose()


async def test_a_database_that_comes_up_late_is_connected_to(
    empty: AsyncEngine, postgres_server: PostgresServer
) -> None:
    await postgres_server.kill()
    waiting = asyncio.create_task(database.connect(empty, attempts=20))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await postgres_server.start()
    await asyncio.wait_for(waiting, 30)


async def test_outages_are_told_from_errors(engine: AsyncEngine, postgres_server: PostgresServer) -> None:
    with pytest.raises(ProgrammingError) as mistake:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT * FROM no_such_table"))
    assert not is_outage(mistake.value)
    with pytest.raises(IntegrityError) as conflict:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO effects (note) VALUES ('no id')"))
    assert not is_outage(conflict.value)

    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        await postgres_server.kill()
        with pytest.raises(Exception) as lost:  # noqa: PT011 (any error, the point is what is_outage says about it)
            await connection.execute(text("SELECT 1"))
        assert is_outage(lost.value), repr(lost.value)
        await connection.invalidate()
    with pytest.raises(Exception) as refused:  # noqa: PT011 (as above)
        async with engine.connect():
            pass
    assert is_outage(refused.value), repr(refused.value)
    await postgres_server.start()


async def test_a_deadlock_passes(engine: AsyncEngine, session_factory: Sessions) -> None:
    async with session_factory.begin() as session:
        for _ in range(2):
            outbox.add(session, a_job_transcribed())
    started = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> Exception | None:
        try:
            async with engine.begin() as connection:
                statement = text("SELECT seq FROM outbox WHERE seq = :seq FOR UPDATE")
                await connection.execute(statement, {"seq": first})
                await started.wait()
                await connection.execute(statement, {"seq": second})
        except DBAPIError as error:
            return error
        return None

    outcomes = await asyncio.gather(lock(1, 2), lock(2, 1))
    victims = [outcome for outcome in outcomes if outcome is not None]
    assert len(victims) == 1
    assert is_outage(victims[0])


async def test_a_notification_wakes_and_its_absence_times_out(engine: AsyncEngine, session_factory: Sessions) -> None:
    loop = asyncio.get_running_loop()
    async with Notifications(engine, "outbox") as doorbell:
        assert await doorbell.wait(0.2) is True, "an earlier notification is not lost"
        assert await doorbell.wait(0.2) is False
        waiting = asyncio.create_task(doorbell.wait(30))
        async with session_factory.begin() as session:
            outbox.add(session, a_job_transcribed())
            await session.flush()
            await asyncio.sleep(0.2)
            assert not waiting.done(), "the transaction has not committed"
        begun = loop.time()
        assert await waiting is True
        assert loop.time() - begun < 5


async def test_deferred_writes_happen_at_the_commit_all_of_a_kind_together(session_factory: Sessions) -> None:
    written: list[list[str]] = []

    def write(_connection: Connection, items: list[str]) -> None:
        written.append(items)

    async with session_factory() as session:
        at_commit(session, write, "never")
        await session.execute(text("SELECT 1"))
        await session.rollback()
        await session.commit()
    async with session_factory.begin() as session:
        at_commit(session, write, "one")
        await session.execute(text("SELECT 1"))
        assert written == []
        at_commit(session, write, "two")
    assert written == [["one", "two"]]


async def test_a_connection_that_was_used_just_now_is_replaced_when_the_server_has_closed_it(
    engine: AsyncEngine, postgres_server: PostgresServer
) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    await postgres_server.kill()
    await postgres_server.start()
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_notifications_of_another_schema_do_not_wake(engine: AsyncEngine) -> None:
    async with Notifications(engine, "outbox") as doorbell:
        await doorbell.wait(0.1)
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_notify('outbox', 'some_other_schema')"))
        assert await doorbell.wait(0.5) is False


async def test_waiting_for_notifications_survives_a_restart_of_the_database(
    engine: AsyncEngine, postgres_server: PostgresServer
) -> None:
    async with Notifications(engine, "outbox") as doorbell:
        await doorbell.wait(0.1)
        await postgres_server.kill()
        for _ in range(3):
            await doorbell.wait(0.1)
        await postgres_server.start()

        async def notified() -> bool:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_notify('outbox', current_schema())"))
            return await doorbell.wait(0.2)

        await eventually(notified)


def test_constraint_names_can_be_computed() -> None:
    assert Outbox.metadata.tables["outbox"].primary_key.name == "outbox_pkey"
