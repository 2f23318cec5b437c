"""Puts the auth service together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx
import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from common import database, logging
from common.health import Background
from common.messaging import Broker, LogPublisher
from common.presence import attend
from common.settings import IdentitySettings
from common.web import Readiness, TokenVerifier, build_app

from . import first_start, repository
from .keys import Vault
from .login import Limits, Login
from .passwords import Passwords
from .routes import router
from .settings import Settings
from .tokens import TokenIssuer

log = structlog.get_logger(__name__)

MIGRATIONS = "auth.migrations"
PRUNE_SECONDS = 3600


def create_app(settings: Settings) -> FastAPI:
    """The auth service; nothing connects before the application starts."""
    readiness = Readiness()
    vault = Vault(settings.secret_key.get_secret_value())
    hasher = Passwords(settings.password_hash_concurrency)
    issuer = TokenIssuer(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        lifetime=timedelta(minutes=settings.access_token_expire_minutes),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for old, new in settings.deprecated_in_use():
            log.warning("deprecated setting", setting=old, use_instead=new)
        async with AsyncExitStack() as stack:
            engine = database.create_engine(settings)
            stack.push_async_callback(engine.dispose)
            await database.connect(engine, settings.db_connect_attempts)
            await database.require_current(engine, MIGRATIONS)
            sessions = database.sessions(engine)
            async with sessions.begin() as session:
                await first_start.prepare(session, settings, vault, hasher)

            # Auth checks tokens as everybody does, but reaches its own keys without leaving the process.
            inside = httpx.AsyncClient(transport=httpx.ASGITransport(app))
            stack.push_async_callback(inside.aclose)
            app.state.verifier = TokenVerifier(
                IdentitySettings(
                    jwks_url="http://auth/.well-known/jwks.json",
                    token_issuer=settings.token_issuer,
                    token_audience=settings.token_audience,
                ),
                inside,
            )
            app.state.sessions = sessions
            app.state.login = Login(
                sessions,
                passwords=hasher,
                vault=vault,
                issuer=issuer,
                limits=Limits(
                    per_user=settings.login_attempts,
                    per_address=settings.login_attempts_per_address,
                    window=timedelta(seconds=settings.login_window_seconds),
                ),
            )
            background = Background()
            stack.push_async_callback(background.stop)
            background.start("logs", lambda: _ship_logs(settings))
            background.start("presence", lambda: attend(settings, settings, service="auth", app=app))
            background.start("pruning", lambda: _prune(sessions, timedelta(days=settings.audit_retention_days)))

            async def database_answers() -> None:
                await database.connect(engine, 1)

            readiness.add("database", database_answers)
            yield

    app = build_app(name="auth", title="Verbatim auth", lifespan=lifespan, routers=[router], readiness=readiness)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies)
    return app


async def _ship_logs(settings: Settings) -> None:
    """Logs are all that auth tells the bus, so it starts and works without one."""
    broker = await Broker.connect(settings, "auth")
    try:
        await LogPublisher(broker, logging.sink()).run()
    finally:
        await broker.close()


async def _prune(sessions: async_sessionmaker[AsyncSession], audit_retention: timedelta) -> None:
    while True:
        async with sessions.begin() as session:
            await repository.prune(session, audit_retention)
        await asyncio.sleep(PRUNE_SECONDS)
