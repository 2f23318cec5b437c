"""The state of the whole platform, as far as it can be told within a bounded time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict

from common.web import Problem

from .upstreams import Upstream, Upstreams

log = structlog.get_logger(__name__)

Check = Callable[[Request], Awaitable[None]]

#: Without these nobody can log in, upload or read; without the others something is missing or late.
ESSENTIAL = frozenset({"auth", "jobs", "object_store"})


# Short enough for those who watch, whose probes come every few seconds.
KEPT_SECONDS = 1.0


class ServiceHealth(BaseModel):
    """One service; `milliseconds` is how long it took to say so."""

    status: Literal["ok", "unavailable"]
    essential: bool
    milliseconds: int
    detail: str | None = None


class Health(BaseModel):
    """The whole platform: ok, degraded (something inessential is missing) or unavailable."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "degraded",
                    "version": "0.1.0",
                    "services": {
                        "jobs": {"status": "ok", "essential": True, "milliseconds": 3, "detail": None},
                        "metadata": {
                            "status": "unavailable",
                            "essential": False,
                            "milliseconds": 2,
                            "detail": "cannot be reached",
                        },
                    },
                }
            ]
        }
    )

    status: Literal["ok", "degraded", "unavailable"]
    version: str
    services: dict[str, ServiceHealth]


class HealthReport:
    """What is known about the platform: asked once for all who want to know at the same time, and kept for a moment.

    Anybody may ask, and asking everybody costs the whole fleet.
    """

    def __init__(self, checks: dict[str, Check], timeout: float, version: str) -> None:
        """A service that has not answered within `timeout` seconds is unavailable."""
        self._checks = checks
        self._timeout = timeout
        self._version = version
        self._asking = asyncio.Lock()
        self._known: Health | None = None
        self._until = 0.0

    async def now(self, request: Request) -> Health:
        """The report, at most KEPT_SECONDS old."""
        async with self._asking:
            if self._known is None or time.monotonic() >= self._until:
                self._known = await _overall(request, self._checks, self._timeout, self._version)
                self._until = time.monotonic() + KEPT_SECONDS
            return self._known


async def _overall(request: Request, checks: dict[str, Check], timeout: float, version: str) -> Health:
    """Ask everybody at once."""
    answers = await asyncio.gather(*(_ask(request, name, check, timeout) for name, check in checks.items()))
    services = dict(zip(checks, answers, strict=True))
    down = [health for health in services.values() if health.status != "ok"]
    status: Literal["ok", "degraded", "unavailable"] = "degraded" if down else "ok"
    if any(health.essential for health in down):
        status = "unavailable"
    return Health(status=status, version=version, services=services)


def respond(health: Health, response: Response) -> Health:
    """Set the answer's status: 503 when the platform cannot do its work."""
    response.status_code = 503 if health.status == "unavailable" else 200
    return health


def service_checks(upstreams: Upstreams, timeout: float) -> dict[str, Check]:
    """A check per service: whether it says that it is ready."""
    return {upstream.name: _ready(upstream, timeout) for upstream in upstreams.all()}


def _ready(upstream: Upstream, timeout: float) -> Check:
    async def check(request: Request) -> None:
        answer = await upstream.send(request, "GET", "/health/ready", timeout=timeout)
        if answer.is_error:
            raise RuntimeError(answer.json().get("detail", "not ready"))

    return check


async def _ask(request: Request, name: str, check: Check, timeout: float) -> ServiceHealth:
    started = time.perf_counter()
    detail: str | None = None
    try:
        async with asyncio.timeout(timeout):
            await check(request)
    except TimeoutError:
        detail = f"no answer within {timeout:g} seconds"
    except Problem as problem:
        detail = problem.detail
    except Exception as error:  # whatever it is, the answer is "not available"
        log.warning("health check failed", check=name, error=f"{type(error).__name__}: {error}")
        detail = str(error) if isinstance(error, RuntimeError) else "the check failed"
    return ServiceHealth(
        status="unavailable" if detail else "ok",
        essential=name in ESSENTIAL,
        milliseconds=round((time.perf_counter() - started) * 1000),
        detail=detail,
    )
