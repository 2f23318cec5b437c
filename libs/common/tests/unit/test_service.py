"""The frame of a service: what it checks, and in which order it stops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from common.messaging import BrokerUnavailable
from common.service import Service, open_service
from common.settings import BrokerSettings, ServiceSettings
from common.web import build_app

Wire = Callable[[Service], Awaitable[None]]


class Settings(ServiceSettings, BrokerSettings):
    """Of a service without a database, whose broker is away."""

    broker_url: str = "amqp://127.0.0.1:1/"
    broker_connect_attempts: int = 1


class Recorder:
    """A consumer that records when it is started and stopped."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    async def start(self) -> None:
        self._calls.append("consumer started")

    async def stop(self) -> None:
        self._calls.append("consumer stopped")

    async def check(self) -> None:
        """Always pass."""


async def crash() -> None:
    raise RuntimeError("this loop is broken")


def a_service(wire: Wire, *, needs_broker: bool = False) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_service(app, Settings(), "example", needs_broker=needs_broker) as service:
            await wire(service)
            yield

    return build_app(name="example", title="Example", lifespan=lifespan, routers=[])


@asynccontextmanager
async def running(wire: Wire) -> AsyncIterator[httpx.AsyncClient]:
    app = a_service(wire)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://example") as client,
    ):
        yield client


async def test_crashing_loop_makes_the_service_not_ready_and_is_named() -> None:
    async def wire(service: Service) -> None:
        service.start("key rotation", crash)

    async with running(wire) as client:
        await asyncio.sleep(0.05)
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["background"])
    assert answer.json()["detail"] == "Not ready: background (key rotation)."


async def test_service_that_can_do_without_the_broker_is_ready_and_consumes_nothing_while_it_is_away() -> None:
    calls: list[str] = []

    async def wire(service: Service) -> None:
        await service.consume("events", Recorder(calls))

    async with running(wire) as client:
        await asyncio.sleep(0.05)
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]) == (200, ["background"])
    assert calls == []


async def test_service_that_needs_the_broker_does_not_start_without_it() -> None:
    async def wire(service: Service) -> None:
        raise AssertionError("not reached")

    app = a_service(wire, needs_broker=True)
    with pytest.raises(BrokerUnavailable):
        async with app.router.lifespan_context(app):
            pass


async def test_parts_stop_in_reverse_order() -> None:
    calls: list[str] = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            calls.append("loop stopped")

    async def note(what: str) -> None:
        calls.append(what)

    async def wire(service: Service) -> None:
        service.close_with(lambda: note("resource closed"))
        service.start("loop", loop)
        service.stop_with(lambda: note("worker stopped"))

    async with running(wire):
        await asyncio.sleep(0)
    assert calls == ["worker stopped", "loop stopped", "resource closed"]
