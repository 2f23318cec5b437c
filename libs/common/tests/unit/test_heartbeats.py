"""What a process tells of itself, and how it ends on request."""

import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest
from fastapi import FastAPI

from common.events import CancelJob, EndProcesses
from common.heartbeats import HeartbeatPublisher, Usage
from common.messaging import Broker
from common.settings import BrokerSettings, ServiceSettings
from common.testing import eventually_blocking
from common.web import Readiness
from common.web.server import EXIT_RESTART, EXIT_SHUTDOWN

SERVED = """
import asyncio, contextlib, sys
from common.settings import ServiceSettings
from common.web import Readiness, build_app, serve
from common.web.server import end

@contextlib.asynccontextmanager
async def lifespan(app):
    asyncio.get_running_loop().call_later(0.3, end, app, int(sys.argv[1]))
    yield

app = build_app(name="example", title="Example", lifespan=lifespan, routers=[], readiness=Readiness())
serve(app, ServiceSettings(port=0))
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "x = bytearray(50_000_000)\nwhile True: pass"]) as process:
        yield process
        process.kill()


def a_heartbeat_publisher(app: FastAPI, *, allowed: bool) -> HeartbeatPublisher:
    """A process's presence on a bus that is not there."""
    settings = ServiceSettings(instance="example-1", enable_server_control=allowed)
    broker = Broker(BrokerSettings(broker_url="amqp://127.0.0.1:1/"), "example")
    return HeartbeatPublisher(broker, service="example", settings=settings, app=app)


def an_app() -> FastAPI:
    """An application that nobody serves."""
    app = FastAPI()
    app.state.readiness = Readiness()
    return app


def test_usage_includes_the_children(child: subprocess.Popen[bytes]) -> None:
    eventually_blocking(Usage().measure, lambda measured: measured[0] >= 5 and measured[1] >= 50_000_000)


def test_a_heartbeat_says_who_and_how_much() -> None:
    beat = a_heartbeat_publisher(an_app(), allowed=False).heartbeat()
    assert (beat.service, beat.instance, beat.pid) == ("example", "example-1", os.getpid())
    assert beat.memory_bytes > 1_000_000
    assert beat.cpu_percent >= 0


@pytest.mark.parametrize(("allowed", "draining"), [(True, ["draining"]), (False, [])])
async def test_a_process_ends_only_where_that_is_allowed(allowed: bool, draining: list[str]) -> None:
    app = an_app()
    publisher = a_heartbeat_publisher(app, allowed=allowed)
    await publisher._consume(CancelJob.name, CancelJob(job_id=uuid4()).model_dump_json().encode())
    await publisher._consume(EndProcesses.name, b"noise")
    assert await app.state.readiness.failing() == []
    notice = EndProcesses(restart=True, requested_by=uuid4())
    await publisher._consume(EndProcesses.name, notice.model_dump_json().encode())
    assert await app.state.readiness.failing() == draining


@pytest.mark.parametrize("code", [EXIT_SHUTDOWN, EXIT_RESTART])
def test_a_served_application_ends_in_order_with_the_exit_code_it_was_given(code: int) -> None:
    done = subprocess.run([sys.executable, "-c", SERVED, str(code)], capture_output=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
