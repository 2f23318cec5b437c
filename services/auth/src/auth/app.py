"""The composition root of the auth service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx
import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common import database, logging
from common.health import Background
from common.messaging import Broker, EventConsumer, LogPublisher, OutboxRelay
from common.presence import attend
from common.settings import IdentitySettings
from common.web import Readiness, TokenVerifier, build_app
from common.web.addresses import FromGateway

from .access.grants import Grants, Lifetimes
from .access.notices import Notices
from .access.tokens import TokenIssuer
from .accounts import first_start
from .accounts.login import Limits, Login
from .consumers import SUBSCRIPTIONS
from .credentials.passwords import Passwords
from .keys.rotation import KeyRotation
from .keys.vault import Vault
from .repository import accounts as repository
from .repository import sessions as session_repository
from .routes import admin, internal, public
from .routes.dependencies import Resources
from .settings import Settings
from .tables import Inbox, Outbox

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
    rotation = KeyRotation(vault, issuer.longest_remembered, timedelta(days=settings.signing_key_days))
    notices = Notices()

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
            inside = httpx.AsyncClient(transport=httpx.ASGITransport(app), trust_env=False)
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
            grants = Grants(
                sessions,
                vault=vault,
                issuer=issuer,
                lifetimes=Lifetimes(timedelta(days=settings.session_idle_days), timedelta(days=settings.session_days)),
                notices=notices,
            )
            app.state.resources = Resources(
                login=Login(sessions, passwords=hasher, grants=grants, notices=notices, limits=_limits(settings)),
                grants=grants,
                issuer=issuer,
                hasher=hasher,
                notices=notices,
                rotation=rotation,
                allow_registration=settings.allow_registration,
            )
            background = Background()
            stack.push_async_callback(background.stop)
            background.start("bus", lambda: _talk(settings, notices, engine, sessions))
            background.start("presence", lambda: attend(settings, settings, service="auth", app=app))
            background.start("pruning", lambda: _prune(sessions, settings, issuer.longest_remembered))
            background.start("key rotation", lambda: rotation.run(sessions))

            async def database_answers() -> None:
                await database.connect(engine, 1)

            readiness.add("database", database_answers)
            yield

    routers = [public.router, public.keys_router, admin.router, internal.router]
    app = build_app(name="auth", title="Verbatim auth", lifespan=lifespan, routers=routers, readiness=readiness)
    app.add_middleware(FromGateway, secret=settings.internal_token.get_secret_value())
    return app


def _limits(settings: Settings) -> Limits:
    return Limits(
        per_user=settings.login_attempts,
        per_address=settings.login_attempts_per_address,
        window=timedelta(seconds=settings.login_window_seconds),
    )


async def _talk(
    settings: Settings, notices: Notices, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession]
) -> None:
    """Auth tells the bus its log, what it has revoked and deleted, and hears of resets; it works without a bus."""
    async with AsyncExitStack() as stack:
        broker = await Broker.connect(settings, "auth")
        stack.push_async_callback(broker.close)
        consumer = EventConsumer(
            broker, service="auth", sessions=sessions, inbox=Inbox, subscriptions=SUBSCRIPTIONS, resources=notices
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        async with asyncio.TaskGroup() as all_of_them:
            all_of_them.create_task(LogPublisher(broker, logging.sink()).run())
            all_of_them.create_task(notices.run(broker))
            all_of_them.create_task(OutboxRelay(engine, sessions, broker, Outbox).run())


async def _prune(sessions: async_sessionmaker[AsyncSession], settings: Settings, remembered: timedelta) -> None:
    while True:
        async with sessions.begin() as session:
            await repository.prune(session, timedelta(days=settings.audit_retention_days))
            await session_repository.prune(session, remembered)
            await repository.forget_deleted(session, remembered)
        await asyncio.sleep(PRUNE_SECONDS)
