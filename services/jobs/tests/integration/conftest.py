"""Fixtures: users with tokens, and a jobs service with its own broker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from common.messaging import Broker
from common.settings import BrokerSettings
from common.testing import Issuer
from common.web.addresses import INTERNAL_HEADER
from jobs.app import create_app
from jobs.service import Cancellations, Resources
from jobs.settings import Settings

from .jobs_harness import Person, Platform, Workers

INTERNAL_TOKEN = SecretStr("internal token of the tests of jobs")
StartPlatform = Callable[..., Awaitable[Platform]]


@pytest.fixture
def settings(migrated_url: str, jwks_url: str) -> Settings:
    """Settings without a reachable broker."""
    return Settings(
        environment="test",
        db_url=migrated_url,
        broker_url="amqp://127.0.0.1:1/",
        jwks_url=jwks_url,
        internal_token=INTERNAL_TOKEN,
        dead_work_grace_seconds=0,  # these tests send no heartbeats
    )


@pytest.fixture
def resources(settings: Settings) -> Resources:
    return Resources(settings, Cancellations())


@pytest.fixture
async def start(settings: Settings, broker_settings: BrokerSettings, issuer: Issuer) -> AsyncIterator[StartPlatform]:
    """Starts replicas of the service, and a connection of the test to the same broker."""
    async with AsyncExitStack() as stack:

        async def platform(**changes: Any) -> Platform:
            values = settings.model_dump() | {"broker_url": broker_settings.broker_url} | changes
            effective = Settings.model_validate(values)
            app = create_app(effective)
            await stack.enter_async_context(app.router.lifespan_context(app))
            broker = await Broker.connect(broker_settings, "test")
            stack.push_async_callback(broker.close)
            workers = Workers()
            await stack.enter_async_context(workers.working(broker))

            def person(**claims: Any) -> Person:
                return _person(app, issuer, stack, **claims)

            return Platform(effective, app.state.sessions, broker, workers, person)

        yield platform


@pytest.fixture
async def platform(start: StartPlatform) -> Platform:
    return await start()


def _person(app: FastAPI, issuer: Issuer, stack: AsyncExitStack, **claims: Any) -> Person:
    user_id = claims.pop("user_id", None) or uuid4()
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://jobs",
        headers={
            **issuer.bearer(user_id, **claims),
            INTERNAL_HEADER: INTERNAL_TOKEN.get_secret_value(),
        },
    )
    stack.push_async_callback(client.aclose)
    return Person(user_id, client)
