"""The composition root of the auth service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import httpx
import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.service import open_service
from common.settings import IdentitySettings
from common.web import TokenVerifier, build_app
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

NAME = "auth"
MIGRATIONS = "auth.migrations"
PRUNE_SECONDS = 3600


def create_app(settings: Settings) -> FastAPI:
    """The auth service; nothing connects before the application starts."""
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
        # Auth verifies tokens as every service does, but fetches its own keys without leaving the process.
        inside = httpx.AsyncClient(transport=httpx.ASGITransport(app), trust_env=False)
        verifier = TokenVerifier(_identity(settings), inside)
        async with (
            inside,
            open_service(app, settings, NAME, migrations=MIGRATIONS, verifier=verifier, needs_broker=False) as service,
        ):
            sessions = service.sessions
            async with sessions.begin() as session:
                await first_start.prepare(session, settings, vault, hasher)
            lifetimes = Lifetimes(timedelta(days=settings.session_idle_days), timedelta(days=settings.session_days))
            grants = Grants(sessions, vault=vault, issuer=issuer, lifetimes=lifetimes, notices=notices)
            app.state.resources = Resources(
                login=Login(sessions, passwords=hasher, grants=grants, notices=notices, limits=_limits(settings)),
                grants=grants,
                issuer=issuer,
                hasher=hasher,
                notices=notices,
                rotation=rotation,
                allow_registration=settings.allow_registration,
            )
            service.start("pruning", partial(_prune, sessions, settings, issuer.longest_remembered))
            service.start("key rotation", partial(rotation.run, sessions))
            service.start("notices", partial(notices.run, service.broker), needs_broker=True)
            await service.start_events(Inbox, Outbox, SUBSCRIPTIONS, notices)
            yield

    routers = [public.router, public.keys_router, admin.router, internal.router]
    app = build_app(name=NAME, title="Verbatim auth", lifespan=lifespan, routers=routers)
    app.add_middleware(FromGateway, secret=settings.internal_token.get_secret_value())
    return app


def _identity(settings: Settings) -> IdentitySettings:
    return IdentitySettings(
        jwks_url="http://auth/.well-known/jwks.json",
        token_issuer=settings.token_issuer,
        token_audience=settings.token_audience,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        per_user=settings.login_attempts,
        per_address=settings.login_attempts_per_address,
        window=timedelta(seconds=settings.login_window_seconds),
    )


async def _prune(sessions: async_sessionmaker[AsyncSession], settings: Settings, remembered: timedelta) -> None:
    while True:
        async with sessions.begin() as session:
            await repository.prune(session, timedelta(days=settings.audit_retention_days))
            await session_repository.prune(session, remembered)
            await repository.forget_deleted(session, remembered)
        await asyncio.sleep(PRUNE_SECONDS)
