"""The gateway with real auth and jobs services, broker and object store."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from common import database
from common.settings import BrokerSettings, StorageSettings
from common.storage import ObjectStore
from common.testing import Issuer, eventually_blocking
from native.testing import ObjectStoreServer, PostgresServer, RabbitServer, free_port

SECRET_KEY = "a secret key for tests, long enough"
PASSWORD = "correct horse battery"
USER_PASSWORD = "a password for one test"
NewUser = Callable[[], Awaitable[dict[str, str]]]


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
        log = self.logs / f"{name}.log"

        def answers() -> bool:
            assert self.processes[name].poll() is None, f"{name} ended:\n{log.read_text()[-4000:]}"
            return httpx.get(health, timeout=5).is_success

        eventually_blocking(answers, what=f"{name} answers (its log: {log})", ignoring=httpx.HTTPError)


@pytest.fixture(scope="session")
def platform(
    postgres_server: PostgresServer,
    rabbitmq_server: RabbitServer,
    s3_server: ObjectStoreServer,
    tmp_path_factory: pytest.TempPathFactory,
    issuer: Issuer,
    jwks_url: str,
) -> Iterator[Platform]:
    """Auth, jobs and a gateway; metadata and cleanup are not running.

    Jobs and the gateway accept tokens of auth and, where auth issues none that a test needs, tokens of `issuer`.
    """
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
        "JWKS_URL": jwks_url,
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
        issuer.document["keys"] += httpx.get(f"{auth}/.well-known/jwks.json").raise_for_status().json()["keys"]
        jobs = stack.enter_context(running.running("jobs", DB_URL=db_urls["jobs"]))
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


async def enter(url: str, username: str, password: str) -> dict[str, Any]:
    """Log in; the whole answer."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as stranger:
        answer = await stranger.post("/token", data={"username": username, "password": password})
    body: dict[str, Any] = answer.raise_for_status().json()
    return body


@pytest.fixture
def new_user(platform: Platform, client: httpx.AsyncClient) -> NewUser:
    """Creates users who have changed their first password to USER_PASSWORD: `username`, `id` and a `token`."""
    url = platform.urls["gateway"]

    async def make() -> dict[str, str]:
        username = f"user-{uuid4().hex[:8]}"
        made = await client.post("/admin/users", json={"username": username})
        assert made.status_code == 201, made.text
        first = made.json()["one_time_password"]
        limited = {"Authorization": f"Bearer {(await enter(url, username, first))['access_token']}"}
        change = {"current_password": first, "new_password": USER_PASSWORD}
        changed = await client.put("/me/password", json=change, headers=limited)
        assert changed.status_code == 204, changed.text
        token = (await enter(url, username, USER_PASSWORD))["access_token"]
        return {"username": username, "id": made.json()["id"], "token": token}

    return make


@pytest.fixture
async def uploads(store: ObjectStore) -> Callable[[], Any]:
    """Lists the keys of all uploaded recordings."""

    async def keys() -> list[str]:
        return [info.key async for info in store.list("uploads/")]

    return keys
