"""A running auth service with its own database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from fastapi import FastAPI

from auth.app import create_app
from auth.settings import Settings
from common.web.addresses import INTERNAL_HEADER

SECRET_KEY = "a secret key for tests, long enough"
INTERNAL_TOKEN = "the internal token of these tests"


StartAuth = Callable[..., Awaitable[FastAPI]]
Client = Callable[..., httpx.AsyncClient]


@pytest.fixture
def admin_password() -> str:
    """Password of the first administrator in applications of `start_auth`."""
    return "correct horse battery"


@pytest.fixture
async def start_auth(migrated_url: str, admin_password: str) -> AsyncIterator[StartAuth]:
    """Start replicas with the same database; stop them at the end."""
    async with AsyncExitStack() as stack:

        async def start(**changes: object) -> FastAPI:
            values: dict[str, object] = {
                "environment": "test",
                "db_url": migrated_url,
                "secret_key": SECRET_KEY,
                "internal_token": INTERNAL_TOKEN,
                "admin_password": admin_password,
                # No broker listens there: auth must work without one.
                "broker_url": "amqp://127.0.0.1:1/",
            }
            app = create_app(Settings.model_validate(values | changes))
            await stack.enter_async_context(app.router.lifespan_context(app))
            return app

        yield start


@pytest.fixture
async def client_from() -> AsyncIterator[Client]:
    """Clients of an application with a given address, by default through the gateway."""
    async with AsyncExitStack() as stack:

        def client(app: FastAPI, address: str = "203.0.113.7", *, is_gateway: bool = True) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app, client=(address, 50000))
            headers = {INTERNAL_HEADER: INTERNAL_TOKEN} if is_gateway else {}
            made = httpx.AsyncClient(transport=transport, base_url="http://auth", headers=headers)
            stack.push_async_callback(made.aclose)
            return made

        yield client


LogIn = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def auth(start_auth: StartAuth) -> FastAPI:
    """One replica with registration and without low attempt limits."""
    return await start_auth(allow_registration=True, login_attempts=1000, login_attempts_per_address=1000)


@pytest.fixture
def log_in(auth: FastAPI, client_from: Client, admin_password: str) -> LogIn:
    """Log in and return the client; without a name, the administrator."""

    async def enter(username: str = "admin", password: str | None = None) -> httpx.AsyncClient:
        client = client_from(auth)
        answer = await client.post("/token", data={"username": username, "password": password or admin_password})
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    return enter
