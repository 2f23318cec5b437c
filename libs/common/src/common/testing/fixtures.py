"""The pytest plugin with the fixtures that the tests of several members share.

They are made of those of the plugin that starts the servers: `migrated_database`, `broker_settings`,
`storage_settings`. A member that has other needs overrides a fixture in its own conftest.
"""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common import database
from common.settings import DatabaseSettings, StorageSettings
from common.storage import ObjectStore

from .clock import Clock
from .identity import Issuer


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """The issuer of the session's tokens."""
    return Issuer()


@pytest.fixture(scope="session")
def jwks_url(issuer: Issuer) -> Iterator[str]:
    """JWKS_URL of a server with the issuer's keys."""
    with issuer.serving() as url:
        yield url


@pytest.fixture
def migrated_url(request: pytest.FixtureRequest, migrated_database: Callable[[str], str]) -> str:
    """DB_URL of a database at the newest revision of the service whose test asks."""
    service = request.path.relative_to(request.config.rootpath).parts[1]
    return migrated_database(f"{service}.migrations")


@pytest.fixture
async def engine(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on that database."""
    made = database.create_engine(DatabaseSettings(db_url=migrated_url))
    yield made
    await made.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions of that engine."""
    return database.sessions(engine)


@pytest.fixture
async def store(storage_settings: StorageSettings) -> AsyncIterator[ObjectStore]:
    """An object store on a bucket of the test's own."""
    opened = ObjectStore(storage_settings)
    yield opened
    await opened.close()
