"""The frame of a service's web application: middleware, error responses, health and version."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, ConfigDict

from common import metrics
from common.health import LoopFailing

from .answers import described
from .errors import ProblemDocument, Unavailable, install_error_handlers
from .middleware import RequestMiddleware

log = structlog.get_logger(__name__)

#: The readiness check of all background loops.
BACKGROUND = "background"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class NotReady(Unavailable):
    """The service should not receive traffic now."""

    code = "not_ready"
    title = "Not ready"


class Readiness:
    """Whether a service should receive traffic: all checks pass, and it does not drain."""

    def __init__(self, timeout: float = 5.0, kept: float = 0.0) -> None:
        """A check that takes longer than `timeout` seconds counts as failed.

        With `kept`, the result is cached for that many seconds, for a public endpoint.
        """
        self._timeout = timeout
        self._kept = kept
        self._checking = asyncio.Lock()
        self._known: tuple[float, list[str]] | None = None
        self._checks: dict[str, Callable[[], Awaitable[None]]] = {}
        self._failing: list[str] = []
        self._loops: Sequence[str] = ()
        self._draining = False

    def add(self, name: str, check: Callable[[], Awaitable[None]]) -> None:
        """Add a check under a public name; when it raises, the service is not ready."""
        if name in self._checks:
            raise ValueError(f"a readiness check named {name!r} exists already")
        self._checks[name] = check

    def drain(self) -> None:
        """Be not ready from now on; safe in a signal handler."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether the service is about to stop: endless responses should end."""
        return self._draining

    @property
    def names(self) -> list[str]:
        """The names of all checks."""
        return sorted(self._checks)

    async def failing(self) -> list[str]:
        """The names of the checks that fail now, "draining" while shutting down; empty means ready."""
        if self._draining:
            return ["draining"]
        if not self._kept:
            return await self._run_checks()
        async with self._checking:
            if self._known is None or time.monotonic() - self._known[0] >= self._kept:
                self._known = (time.monotonic(), await self._run_checks())
            return self._known[1]

    def describe(self, failing: Sequence[str]) -> str:
        """Return the failing checks as text, with the names of failing background loops."""
        loops = f" ({', '.join(self._loops)})" if self._loops else ""
        return ", ".join(f"{name}{loops}" if name == BACKGROUND else name for name in failing)

    async def _run_checks(self) -> list[str]:
        outcomes = await asyncio.gather(*(self._passes(name) for name in self._checks))
        failing = sorted(name for name, passes in zip(self._checks, outcomes, strict=True) if not passes)
        if failing != self._failing:
            log.info("readiness changed", failing=failing)
            self._failing = failing
        return failing

    async def _passes(self, name: str) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                await self._checks[name]()
        except Exception as error:  # any exception means "not ready"
            if isinstance(error, LoopFailing):
                self._loops = error.loops
            if name not in self._failing:
                log.warning("readiness check failed", check=name, error=f"{type(error).__name__}: {error}")
            return False
        return True


class Alive(BaseModel):
    """The process is alive."""

    status: str = "alive"


class Ready(BaseModel):
    """All checks pass."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ready", "checks": ["database", "broker"]}]})

    status: str = "ready"
    checks: list[str]


class Version(BaseModel):
    """The service and its version."""

    service: str
    version: str


class _Application(FastAPI):
    """FastAPI with problem documents in its OpenAPI document."""

    def __init__(self, *, service: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._service = service

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = described(super().openapi(), self._service)
        return self.openapi_schema


def build_app(
    *, name: str, title: str, lifespan: Lifespan, routers: Sequence[APIRouter], readiness: Readiness | None = None
) -> FastAPI:
    """A service's application: its routers inside the frame that all services share.

    Lifespan code finds the readiness as `app.state.readiness`. Adds GET /health/live, /health/ready and /version.
    """
    version = metrics.service_version(name)
    readiness = readiness or Readiness()
    app = _Application(
        service=name,
        title=title,
        version=version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Function names make readable operation ids; FastAPI warns when two are the same.
        generate_unique_id_function=lambda route: route.name,
        responses={"default": {"model": ProblemDocument, "description": "A problem (RFC 9457)."}},
    )
    app.state.readiness = readiness
    app.add_middleware(RequestMiddleware, service=name)
    install_error_handlers(app, name)
    for router in (*routers, _health(readiness), _about(name, version)):
        app.include_router(router)
    return app


def _health(readiness: Readiness) -> APIRouter:
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", summary="Check that the process is alive, without its dependencies")
    async def health_live() -> Alive:
        return Alive()

    @router.get("/ready", summary="Check that the service can receive traffic")
    async def health_ready() -> Ready:
        if failing := await readiness.failing():
            raise NotReady(f"Not ready: {readiness.describe(failing)}.", failing=failing)
        return Ready(checks=readiness.names)

    return router


def _about(name: str, version: str) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/version", summary="Get the name and version of the service")
    async def version_of_service() -> Version:
        return Version(service=name, version=version)

    return router
