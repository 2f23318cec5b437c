"""Composition root of the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response, WebSocket
from starlette.middleware import Middleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from common import metrics
from common.events import AccessRevoked
from common.service import answer_outages, open_service
from common.storage import ObjectStore, StoreUnavailable
from common.web import Readiness, TokenVerifier, build_app

from .edge import cors
from .edge.api_keys import ApiKeys
from .edge.connections import OpenConnections
from .edge.credentials import Authenticator, Credentials
from .edge.heads import Heads
from .edge.limits import RateLimit
from .edge.revocations import Revocations
from .edge.security_headers import SecurityHeaders
from .edge.throttle import RequestLimits, Throttle
from .errors import StoreDown, TooManyStreams, TooManyUploads
from .files import pages
from .logs.hub import LogHub
from .logs.stream import LogStream
from .relay import surface
from .relay.health import HealthReport, service_checks
from .relay.union import united
from .relay.upstreams import Refusal, Upstreams, relayed
from .routes import files, jobs, logs, platform, relays, uploads
from .routes.dependencies import Resources
from .settings import Settings
from .uploads.acceptance import UploadLimits
from .uploads.resumable.protocol import TusFrame
from .uploads.resumable.service import ResumableUploads

NAME = "gateway"


def create_app(settings: Settings) -> FastAPI:
    """The gateway; nothing connects before the application starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = ObjectStore(settings)
        verifier = TokenVerifier(settings)
        async with open_service(app, settings, NAME, store=store, verifier=verifier, needs_broker=False) as service:
            upstreams = Upstreams.connect(settings)
            service.close_with(upstreams.close)

            revocations = Revocations(upstreams.auth)
            service.start("revocations", revocations.run)
            await service.listen("control", [AccessRevoked.name], revocations.on_notice, on_connect=revocations.missed)
            hub = LogHub(settings.log_viewers, settings.log_viewer_buffer)
            await service.listen("archive", ["#"], hub.on_archived)

            checks = service_checks(upstreams, settings.api_health_timeout)
            checks |= {"object_store": lambda _: store.check(), "message_bus": lambda _: service.broker.check()}

            limits = UploadLimits(settings.max_upload_size, settings.upload_idle_timeout, settings.whisper_language)
            resumable = ResumableUploads(store, upstreams.jobs, limits, settings.upload_lifetime)
            service.start("expired uploads", resumable.sweep)

            exempts_admins = settings.rate_limits_exempt_admins
            streams = OpenConnections(settings.streams_per_user, TooManyStreams, exempts_admins=exempts_admins)
            keys = ApiKeys(upstreams.auth, revocations, RateLimit(settings.logins_per_minute))
            app.state.authenticator = Authenticator(verifier, revocations, keys)
            app.state.resources = Resources(
                upstreams=upstreams,
                store=store,
                logs=LogStream(hub, upstreams.jobs, settings.allowed_origins, streams),
                logins=RateLimit(settings.logins_per_minute),
                streams=streams,
                sending=OpenConnections(settings.uploads_per_user, TooManyUploads, exempts_admins=exempts_admins),
                uploads=limits,
                health=HealthReport(checks, settings.api_health_timeout, metrics.service_version(NAME)),
                page=page,
                resumable=resumable,
            )
            yield

    page = pages.built(settings.web_dir)
    routers = [each.router for each in (jobs, logs, platform, files, uploads)] + [pages.front(page)]
    readiness = Readiness(kept=1.0)
    app = build_app(name=NAME, title="Verbatim", lifespan=lifespan, routers=routers, readiness=readiness)
    # Starlette's type knows handlers for requests and handlers for sockets; this one serves both.
    app.add_exception_handler(Refusal, _pass_on_refusal)  # type: ignore[arg-type]
    away = StoreDown("The object store is not available; try again in a moment.")
    answer_outages(app, NAME, StoreUnavailable, away)
    if page is not None:
        app.mount("/app", page)
    _relay(app)
    _guard(app, settings)
    return app


def _relay(app: FastAPI) -> None:
    """Add a route for every public operation of the services that the gateway does not answer itself."""
    documents = surface.stored()
    own = app.openapi()
    answered = [(method, path) for path, methods in own["paths"].items() for method in methods]
    operations = surface.public(documents, answered)
    app.include_router(relays.router(operations))
    app.openapi_schema = united(own, operations, documents)


def _guard(app: FastAPI, settings: Settings) -> None:
    """Add the middleware; the last one added receives a request first."""
    app.add_middleware(TusFrame)
    # Inside the middleware that binds the request's ids and answers problems, and around all routes.
    app.user_middleware.append(Middleware(Credentials))
    app.state.request_limits = RequestLimits(settings)
    app.user_middleware.append(Middleware(Throttle))
    app.user_middleware.append(Middleware(Heads))
    if settings.allowed_origins:
        cors.allow(app, settings.allowed_origins)
    app.add_middleware(SecurityHeaders)
    if settings.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.proxies)


async def _pass_on_refusal(connection: Request, error: Exception) -> Response | None:
    assert isinstance(error, Refusal)
    response = relayed(error.response)
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(response)
        return None
    return response
