"""The gateway with real auth and jobs services, broker and object store."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from auth.keys.vault import Vault
from auth.tables import SigningKey
from common import database
from common.settings import BrokerSettings, DatabaseSettings, StorageSettings
from common.storage import ObjectStore
from native.testing import ObjectStoreServer, PostgresServer, RabbitServer, free_port

SECRET_KEY = "a secret key for tests, long enough"
PASSWORD = "correct horse battery"
START_SECONDS = 60.0


@dataclass
class Platform:
    """Addresses and processes of the running services."""

    urls: dict[str, str]
    db_urls: dict[str, str]
    storage: StorageSettings
    broker: BrokerSettings
    environment: dict[str, str]
    logs: Path
    password: str = PASSWORD
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @contextmanager
    def running(self, service: str, name: str | None = None, *, until: str = "ready", **changes: str) -> Iterator[str]:
        """Run a service as a process of its own; yields its URL once it is ready, or just live."""
        name = name or service
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = self.environment | {"PORT": str(port), "INSTANCE": name} | changes
        with (self.logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", service, "serve"], env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.processes[name] = process
        try:
            self._wait(name, f"{url}/health/{until}")
            yield url
        finally:
            del self.processes[name]
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait(self, name: str, health: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.processes[name].poll() is None:
            try:
                if httpx.get(health, timeout=5).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        pytest.fail(f"{name} did not become ready:\n{(self.logs / f'{name}.log').read_text()[-4000:]}")


@pytest.fixture(scope="session")
def platform(
    postgres_server: PostgresServer,
    rabbitmq_server: RabbitServer,
    s3_server: ObjectStoreServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    """Auth, jobs and a gateway; metadata and cleanup are not running."""
    storage = s3_server.settings("gateway-tests")
    asyncio.run(_make_bucket(storage))
    broker = BrokerSettings(broker_url=rabbitmq_server.vhost_url(rabbitmq_server.create_vhost()))
    db_urls = {name: postgres_server.create_service(name) for name in ("auth", "jobs")}
    for name, url in db_urls.items():
        database.migrate(url, f"{name}.migrations")
    base = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    environment = base | {
        "ENVIRONMENT": "test",
        "BROKER_URL": broker.broker_url,
        "S3_ENDPOINT": storage.s3_endpoint,
        "S3_BUCKET": storage.s3_bucket,
        "AWS_ACCESS_KEY_ID": storage.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": storage.aws_secret_access_key.get_secret_value(),
        "SECRET_KEY": SECRET_KEY,
        "INTERNAL_TOKEN": "what the gateway shows in these tests",
        "ADMIN_PASSWORD": PASSWORD,
        # All tests log in from one address.
        "LOGIN_ATTEMPTS": "1000",
        "LOGINS_PER_MINUTE": "10000",
        "REQUESTS_PER_MINUTE_PER_ADDRESS": "0",
    }
    nowhere = "http://127.0.0.1:1"
    running = Platform(
        urls={},
        db_urls=db_urls,
        storage=storage,
        broker=broker,
        environment=environment,
        logs=tmp_path_factory.mktemp("logs"),
    )
    with ExitStack() as stack:
        auth = stack.enter_context(running.running("auth", DB_URL=db_urls["auth"]))
        jwks = f"{auth}/.well-known/jwks.json"
        jobs = stack.enter_context(running.running("jobs", DB_URL=db_urls["jobs"], JWKS_URL=jwks))
        running.urls |= {"auth": auth, "jobs": jobs}
        running.environment |= {
            "AUTH_URL": auth,
            "JOBS_URL": jobs,
            "METADATA_URL": nowhere,
            "CLEANUP_URL": nowhere,
        }
        running.urls["gateway"] = stack.enter_context(running.running("gateway"))
        yield running


async def _make_bucket(storage: StorageSettings) -> None:
    store = ObjectStore(storage)
    await store.ensure_bucket()
    await store.close()


@pytest.fixture
async def store(platform: Platform) -> AsyncIterator[ObjectStore]:
    """The object store that the gateway writes to."""
    store = ObjectStore(platform.storage)
    yield store
    await store.close()


@pytest.fixture(scope="session")
def token(platform: Platform) -> str:
    """A token of the admin."""
    answer = httpx.post(
        f"{platform.urls['gateway']}/token", data={"username": "admin", "password": PASSWORD}, timeout=30
    )
    issued: str = answer.raise_for_status().json()["access_token"]
    return issued


@pytest.fixture
async def client(platform: Platform, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """The admin at the gateway."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=platform.urls["gateway"], headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def signed(platform: Platform) -> Callable[..., Awaitable[str]]:
    """Signs tokens with auth's key: the claims of a given token with changes, and a lifetime in seconds."""

    async def sign(token: str, *, seconds: int = 600, **changes: str) -> str:
        engine = database.create_engine(DatabaseSettings(db_url=platform.db_urls["auth"]))
        async with database.sessions(engine)() as session:
            row = await session.get_one(SigningKey, jwt.get_unverified_header(token)["kid"])
        await engine.dispose()
        signer = Vault(platform.environment["SECRET_KEY"]).open(row)
        claims = jwt.decode(token, options={"verify_signature": False})
        claims |= {"exp": int(time.time()) + seconds, "jti": uuid4().hex} | changes
        return jwt.encode(claims, signer.key, algorithm="EdDSA", headers=jwt.get_unverified_header(token))

    return sign


@pytest.fixture
async def uploads(store: ObjectStore) -> Callable[[], Any]:
    """Lists the keys of all uploaded recordings."""

    async def keys() -> list[str]:
        return [info.key async for info in store.list("uploads/")]

    return keys


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Waits until a condition holds, and fails after 20 seconds."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + 20
        while not await condition():
            assert time.monotonic() < deadline, "the condition does not come true"
            await asyncio.sleep(0.05)

    return wait
