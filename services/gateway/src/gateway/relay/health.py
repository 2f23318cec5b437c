"""The health of the whole platform, checked within a timeout."""

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

#: Without these, login, upload or reading fails; without the others, something is missing or late.
ESSENTIAL = frozenset({"auth", "jobs", "object_store"})


# Shorter than the interval of probes.
CACHE_SECONDS = 1.0


class ServiceHealth(BaseModel):
    """The health of one service; `milliseconds` is the duration of the check."""

    status: Literal["ok", "unavailable"]
    essential: bool
    milliseconds: int
    detail: str | None = None


class Health(BaseModel):
    """The health of the platform: ok, degraded (a service that is not essential is unavailable) or unavailable."""

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
    """Checks the platform once for all simultaneous requests, and caches the result.

    The route is public, and every check costs a request to each service.
    """

    def __init__(self, checks: dict[str, Check], timeout: float, version: str) -> None:
        """A service that does not answer within `timeout` seconds is unavailable."""
        self._checks = checks
        self._timeout = timeout
        self._version = version
        self._lock = asyncio.Lock()
        self._cached: Health | None = None
        self._until = 0.0

    async def now(self, request: Request) -> Health:
        """The report, at most CACHE_SECONDS old."""
        async with self._lock:
            if self._cached is None or time.monotonic() >= self._until:
                self._cached = await _overall(request, self._checks, self._timeout, self._version)
                self._until = time.monotonic() + CACHE_SECONDS
            return self._cached


async def _overall(request: Request, checks: dict[str, Check], timeout: float, version: str) -> Health:
    answers = await asyncio.gather(*(_check(request, name, check, timeout) for name, check in checks.items()))
    services = dict(zip(checks, answers, strict=True))
    down = [health for health in services.values() if health.status != "ok"]
    status: Literal["ok", "degraded", "unavailable"] = "degraded" if down else "ok"
    if any(health.essential for health in down):
        status = "unavailable"
    return Health(status=status, version=version, services=services)


def respond(health: Health, response: Response) -> Health:
    """Set the status of the answer: 503 if an essential service is unavailable."""
    response.status_code = 503 if health.status == "unavailable" else 200
    return health


def service_checks(upstreams: Upstreams, timeout: float) -> dict[str, Check]:
    """The readiness check of each service."""
    return {upstream.name: _ready(upstream, timeout) for upstream in upstreams.all()}


def _ready(upstream: Upstream, timeout: float) -> Check:
    async def check(request: Request) -> None:
        answer = await upstream.send(request, "GET", "/health/ready", timeout=timeout)
        if answer.is_error:
            raise RuntimeError(answer.json().get("detail", "not ready"))

    return check


async def _check(request: Request, name: str, check: Check, timeout: float) -> ServiceHealth:
    started = time.perf_counter()
    detail: str | None = None
    try:
        async with asyncio.timeout(timeout):
            await check(request)
    except TimeoutError:
        detail = f"no answer within {timeout:g} seconds"
    except Problem as problem:
        detail = problem.detail
    except Exception as error:  # any error means unavailable
        log.warning("health check failed", check=name, error=f"{type(error).__name__}: {error}")
        detail = str(error) if isinstance(error, RuntimeError) else "the check failed"
    return ServiceHealth(
        status="unavailable" if detail else "ok",
        essential=name in ESSENTIAL,
        milliseconds=round((time.perf_counter() - started) * 1000),
        detail=detail,
    )
