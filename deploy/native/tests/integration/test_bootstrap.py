"""Roles, schemas and migrations as `make up` makes them."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from native import bootstrap, postgres
from native.fleet import WITH_DATABASE, table
from native.hosting import Hosted
from native.programs import Program
from native.settings import NativeSettings
from native.state import StateFolder

pytestmark = pytest.mark.integration


def database_rows(state: StateFolder) -> list[Program]:
    return [row for row in table(state, NativeSettings()) if row.name == postgres.NAME or row.is_task]


@pytest.fixture(scope="module")
def folder(native_state: Path) -> Path:
    return native_state / "bootstrap"


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[Hosted]:
    with Hosted(folder, database_rows).running() as programs:
        yield programs


async def connect(programs: Hosted, role: str) -> asyncpg.Connection:
    port = programs.port(postgres.NAME, "sql")
    url = postgres.service_url(port, role, bootstrap.role_password(programs.state, role), bootstrap.DATABASE)
    return await asyncpg.connect(url.replace("+asyncpg", ""))


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_a_service_finds_its_own_tables_and_cannot_read_anothers(database: Hosted, service: str) -> None:
    connection = await connect(database, service)
    try:
        assert await connection.fetchval("SELECT version_num FROM alembic_version")
        other = next(name for name in WITH_DATABASE if name != service)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval(f'SELECT version_num FROM "{other}".alembic_version')
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f'CREATE TABLE "{other}".mine (n int)')
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE public.mine (n int)")
    finally:
        await connection.close()


async def test_a_role_is_no_superuser(database: Hosted) -> None:
    connection = await connect(database, "jobs")
    try:
        assert not await connection.fetchval(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'jobs'"
        )
    finally:
        await connection.close()


def test_a_second_start_has_nothing_to_migrate_and_a_missing_schema_is_made_again(native_state: Path) -> None:
    folder = native_state / "migrated-twice"
    said: list[str] = []

    def start(*drop: str) -> list[str]:
        said.clear()
        with Hosted(folder, database_rows, lambda name, text: said.append(f"{name} {text}")).running() as programs:
            programs.run(_drop(programs, drop))
        return sorted(line for line in said if "nothing to do" in line)

    assert start() == []
    assert start("jobs") == [f"migrate-{name} nothing to do" for name in sorted(WITH_DATABASE)]
    assert start() == [f"migrate-{name} nothing to do" for name in sorted(WITH_DATABASE) if name != "jobs"]


async def _drop(programs: Hosted, schemas: tuple[str, ...]) -> None:
    admin = await asyncpg.connect(
        postgres.admin_url(programs.state, programs.port(postgres.NAME, "sql"), bootstrap.DATABASE)
    )
    for schema in schemas:
        await admin.execute(f'DROP SCHEMA "{schema}" CASCADE')
    await admin.close()
