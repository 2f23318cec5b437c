"""Logging in: who may try, whether the password is right, and what is remembered of it."""

import math
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common import context

from . import metrics, repository
from .errors import InvalidCredentials, NoSigningKey, TooManyAttempts
from .keys import Vault
from .names import username_key
from .passwords import Passwords, Verdict
from .tables import User
from .tokens import TokenIssuer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Failed logins allowed per window: for one user from one address, and for one address altogether."""

    per_user: int
    per_address: int
    window: timedelta


class Login:
    """Turns a name and a password into an access token.

    This is an edge that owns its transactions, and it opens two short ones: hashing in between takes long, and a
    connection held meanwhile would let a few dozen guesses starve everybody of the database.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        *,
        passwords: Passwords,
        vault: Vault,
        issuer: TokenIssuer,
        limits: Limits,
    ) -> None:
        self._sessions = sessions
        self._passwords = passwords
        self._vault = vault
        self._issuer = issuer
        self._limits = limits
        self.token_seconds = int(issuer.lifetime.total_seconds())

    async def log_in(self, username: str, password: str, address: str) -> str:
        """The access token; raises InvalidCredentials, TooManyAttempts or LoginBusy."""
        with metrics.LOGIN_SECONDS.time():
            async with self._sessions.begin() as session:
                retry_after = await self._count(session, username, address)
                user = None if retry_after else await repository.user_by_key(session, username_key(username))
            if retry_after:
                metrics.LOGINS.labels("throttled").inc()
                raise TooManyAttempts(
                    f"Too many failed logins; try again in {retry_after} seconds.",
                    headers={"Retry-After": str(retry_after)},
                )
            verdict = await self._passwords.verify(user.password_hash if user else None, password)
            async with self._sessions.begin() as session:
                token = await self._settle(session, user, verdict, username, address)
        if token is None:
            raise InvalidCredentials("The user name or the password is wrong.")
        return token

    async def _count(self, session: AsyncSession, username: str, address: str) -> int:
        """Charge the attempt; returns the seconds to wait, 0 to go on."""
        for key, limit in (
            (repository.EVERYONE, self._limits.per_address),
            (username_key(username), self._limits.per_user),
        ):
            failures, ends_at, now = await repository.count_attempt(session, key, address, self._limits.window)
            if failures > limit:
                # Only the first refusal of a window is written down, or guessing would also fill the disk.
                if failures == limit + 1:
                    self._record(session, "login_throttled", None, username, address)
                return max(1, math.ceil((ends_at - now).total_seconds()))
        return 0

    async def _settle(
        self, session: AsyncSession, user: User | None, verdict: Verdict, username: str, address: str
    ) -> str | None:
        if user is None or not verdict.ok or user.disabled_at is not None:
            self._record(session, "login_failed", user, username, address)
            metrics.LOGINS.labels("refused").inc()
            return None
        key = await repository.signing_key(session)
        if key is None:
            raise NoSigningKey("No key may sign tokens at this moment.")
        await repository.forgive(session, username_key(username), address)
        await repository.record_login(session, user.id, verdict.fresh_hash)
        self._record(session, "login_succeeded", user, username, address)
        metrics.LOGINS.labels("succeeded").inc()
        return self._issuer.issue(user, self._vault.open(key))

    def _record(self, session: AsyncSession, kind: str, user: User | None, username: str, address: str) -> None:
        user_id = user.id if user else None
        repository.record_event(
            session,
            kind,
            user_id=user_id,
            username=username,
            address=address,
            correlation_id=context.correlation_id(),
        )
        log.info(kind.replace("_", " "), user_id=str(user_id) if user_id else None, address=address)
