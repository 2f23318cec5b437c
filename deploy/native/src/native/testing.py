"""The pytest plugin that gives tests real backing services of their own, started once per session, removed at its end.

Session fixtures start lazily: `postgres_server`, `rabbitmq_server`, `s3_server`. Function fixtures give each test a
place of its own in them: `db_url` (`migrated_database` with a service's tables), `broker_settings`,
`storage_settings`.
"""

import contextlib
import itertools
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from . import postgres, rabbitmq, seaweedfs
from .hosting import Hosted
from .programs import Program
from .state import StateFolder, free_port

if TYPE_CHECKING:
    from common.settings import BrokerSettings, StorageSettings

# Every test has a bucket and every bucket takes several volumes: more than the disk could hold, were they full.
MANY_VOLUMES = 20_000

_numbers = itertools.count(1)

__all__ = ["ObjectStoreServer", "PostgresServer", "RabbitServer", "free_port"]


class _Server:
    """One or two rows of the fleet table, held by a test session."""

    def __init__(self, programs: Hosted, name: str) -> None:
        self.programs = programs
        self.lives = 1  # counts the starts
        self._name = name

    async def kill(self) -> None:
        """SIGKILL the server; it stays down until `start`."""
        self.lives += 1
        await self.programs.kill(self._name, signal.SIGKILL)

    async def stop(self) -> None:
        """Stop the server in its orderly way; it stays down until `start`."""
        self.lives += 1
        await self.programs.stop(self._name)

    async def start(self) -> None:
        """Start the server after `kill` or `stop`; returns when it is ready, at once when it runs."""
        await self.programs.start(self._name)

    async def restart(self) -> None:
        """Stop and start; data and credentials stay."""
        await self.stop()
        await self.start()

    async def pause(self) -> None:
        """Hang the server (SIGSTOP) until `resume`: connections stay open and nothing answers."""
        await self.programs.kill(self._name, signal.SIGSTOP, hold=False)

    async def resume(self) -> None:
        """Resume a paused server."""
        await self.programs.kill(self._name, signal.SIGCONT, hold=False)


class PostgresServer(_Server):
    """A private PostgreSQL cluster."""

    def __init__(self, programs: Hosted, name: str) -> None:
        super().__init__(programs, name)
        self._templates: dict[str, str] = {}

    @property
    def admin_url(self) -> str:
        """The superuser's URL of the maintenance database, in libpq form (as asyncpg takes it)."""
        return self._admin_url("postgres")

    def create_service(self, name: str = "service") -> str:
        """Make a fresh database with a role and schema for a service, and return its DB_URL; blocks for about 0.1 s."""
        role = f"{name}_{next(_numbers)}"
        return self.programs.run(self._create(role))

    def create_migrated(self, migrations: str) -> str:
        """Make a fresh database at the newest revision of a package of migrations, which run once; its DB_URL."""
        template = self._templates.get(migrations)
        if template is None:
            from common import database  # noqa: PLC0415 - only tests of services need it

            template = self._templates[migrations] = self.create_service("template")
            database.migrate(template, migrations)
        server, role = template.rsplit("/", 1)
        copy = f"{role}_{next(_numbers)}"
        self.programs.run(self._copy(role, copy))
        return f"{server}/{copy}"

    def drop(self, db_url: str) -> None:
        """Remove what `create_service` or `create_migrated` made, connections and all."""
        self.programs.run(self._drop(db_url.rsplit("/", 1)[1]))

    def _admin_url(self, database: str) -> str:
        return postgres.admin_url(self.programs.state, self.programs.port(postgres.NAME, "sql"), database)

    async def _create(self, role: str) -> str:
        password = secrets.token_urlsafe(12)
        async with _connection(self.admin_url) as admin:
            await postgres.create_database(admin, role)
        async with _connection(self._admin_url(role)) as admin:
            await postgres.create_service(admin, database=role, role=role, password=password)
        return postgres.service_url(self.programs.port(postgres.NAME, "sql"), role, password, role)

    async def _copy(self, role: str, database: str) -> None:
        """Copy the role's own database; the role has the same rights in the copy."""
        async with _connection(self.admin_url) as admin:
            await admin.execute(f'CREATE DATABASE "{database}" TEMPLATE "{role}"')
            await postgres.admit(admin, database, role)

    async def _drop(self, database: str) -> None:
        async with _connection(self.admin_url) as admin:
            await admin.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
            await admin.execute(f'DROP ROLE IF EXISTS "{database}"')  # a copy has the role of its original


class RabbitServer(_Server):
    """A private RabbitMQ node."""

    @property
    def url(self) -> str:
        """The AMQP URL of the default virtual host."""
        return self.vhost_url("/")

    def vhost_url(self, vhost: str) -> str:
        """The AMQP URL of a virtual host."""
        return rabbitmq.url(self.programs.state, self.programs.port(rabbitmq.NAME, "amqp"), vhost)

    def create_vhost(self) -> str:
        """Make an empty virtual host and return its name; blocks for about 0.1 s."""
        name = f"test-{next(_numbers)}"
        self.programs.run(rabbitmq.create_vhost(self.programs.state, name))
        return name

    def delete_vhost(self, name: str) -> None:
        """Remove a virtual host with its queues."""
        self.programs.run(rabbitmq.delete_vhost(self.programs.state, name))


class ObjectStoreServer(_Server):
    """A private S3 server."""

    def settings(self, bucket: str = "verbatim") -> "StorageSettings":
        """Settings with which `common.storage` reaches it; the bucket may not exist yet."""
        from common.settings import StorageSettings  # noqa: PLC0415 - only tests that use the store need it

        access, secret = seaweedfs.credentials(self.programs.state)
        return StorageSettings(
            s3_endpoint=f"http://127.0.0.1:{self.programs.port(seaweedfs.NAME, 's3')}",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            s3_bucket=bucket,
        )


@pytest.fixture(scope="session")
def native_state(pytestconfig: pytest.Config) -> Iterator[Path]:
    """The folder of this test session, removed at its end together with the folders of ended sessions."""
    root = pytestconfig.rootpath / ".verbatim"
    for old in root.glob("test-*"):
        if old.name != f"test-{os.getpid()}" and not Path("/proc", old.name.removeprefix("test-")).exists():
            StateFolder(old).remove()
    folder = StateFolder(root / f"test-{os.getpid()}")
    yield folder.path
    folder.remove()


@pytest.fixture(scope="session")
def postgres_server(native_state: Path) -> Iterator[PostgresServer]:
    """A running PostgreSQL."""

    def table(state: StateFolder) -> list[Program]:
        return [postgres.program(state, settings=postgres.VOLATILE)]

    with Hosted(native_state / "postgres", table).running() as programs:
        yield PostgresServer(programs, postgres.NAME)


@pytest.fixture(scope="session")
def rabbitmq_server(native_state: Path) -> Iterator[RabbitServer]:
    """A running RabbitMQ."""
    with Hosted(native_state / "rabbitmq", rabbitmq.programs).running() as programs:
        yield RabbitServer(programs, rabbitmq.NAME)


@pytest.fixture(scope="session")
def s3_server(native_state: Path) -> Iterator[ObjectStoreServer]:
    """A running S3 server."""

    def table(state: StateFolder) -> list[Program]:
        return [seaweedfs.program(state, volumes=MANY_VOLUMES)]

    with Hosted(native_state / "s3", table).running() as programs:
        yield ObjectStoreServer(programs, seaweedfs.NAME)


@pytest.fixture
def db_url(postgres_server: PostgresServer) -> Iterator[str]:
    """DB_URL of a fresh, empty database with a role and schema of its own."""
    postgres_server.programs.run(postgres_server.start())  # a fault test may have left it down
    url = postgres_server.create_service()
    yield url
    postgres_server.programs.run(postgres_server.start())
    postgres_server.drop(url)


@pytest.fixture
def migrated_database(postgres_server: PostgresServer) -> Iterator[Callable[[str], str]]:
    """Makes databases at the newest revision of a package of migrations; gives their DB_URLs."""
    made: list[str] = []

    def make(migrations: str) -> str:
        postgres_server.programs.run(postgres_server.start())  # a fault test may have left it down
        made.append(postgres_server.create_migrated(migrations))
        return made[-1]

    yield make
    postgres_server.programs.run(postgres_server.start())
    for url in made:
        postgres_server.drop(url)


@pytest.fixture
def broker_settings(rabbitmq_server: RabbitServer) -> Iterator["BrokerSettings"]:
    """Settings of a fresh virtual host."""
    from common.settings import BrokerSettings  # noqa: PLC0415 - only tests that use the broker need it

    rabbitmq_server.programs.run(rabbitmq_server.start())  # a fault test may have left it down
    vhost, life = rabbitmq_server.create_vhost(), rabbitmq_server.lives
    yield BrokerSettings(broker_url=rabbitmq_server.vhost_url(vhost))
    rabbitmq_server.programs.run(rabbitmq_server.start())
    # Queues that are deleted while they come back from a restart end the broker's dead-lettering for good (RabbitMQ
    # 3.10), and with it every later test: what a broker has restarted with stays until the session ends.
    if rabbitmq_server.lives == life:
        rabbitmq_server.delete_vhost(vhost)


@pytest.fixture
def storage_settings(s3_server: ObjectStoreServer) -> "StorageSettings":
    """Settings of a fresh bucket."""
    from common.storage import ObjectStore  # noqa: PLC0415 - only tests that use the store need it

    s3_server.programs.run(s3_server.start())  # a fault test may have left it down
    settings = s3_server.settings(f"test-{next(_numbers)}")

    async def create() -> None:
        store = ObjectStore(settings)
        await store.ensure_bucket()
        await store.close()

    s3_server.programs.run(create())
    return settings


@contextlib.asynccontextmanager
async def _connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
