"""Logging in: who may try, whether the password is right, and what is remembered of it."""

import math
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.web import Identity

from . import accounts, audit, metrics, password_rules, repository
from .audit import Caller
from .errors import InvalidCredentials, TooManyAttempts, WrongPassword
from .grants import Granted, Grants
from .names import username_key
from .notices import Notices
from .passwords import Passwords, Verdict
from .tables import User

#: In place of a user's name: counts an address' registrations. No user has it, as compared names are stripped.
REGISTRATION = " registration"


@dataclass(frozen=True, slots=True)
class Limits:
    """Failed logins allowed per window: for one user from one address, and for one address altogether."""

    per_user: int
    per_address: int
    window: timedelta


class Login:
    """Turns a name and a password into a session.

    This is an edge that owns its transactions, and it opens two short ones: hashing in between takes long, and a
    connection held meanwhile would let a few dozen guesses starve everybody of the database.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        *,
        passwords: Passwords,
        grants: Grants,
        notices: Notices,
        limits: Limits,
    ) -> None:
        self._sessions = sessions
        self._passwords = passwords
        self._grants = grants
        self._notices = notices
        self._limits = limits

    async def log_in(self, username: str, password: str, caller: Caller) -> Granted:
        """The new session's tokens; raises InvalidCredentials, TooManyAttempts or LoginBusy."""
        with metrics.LOGIN_SECONDS.time():
            async with self._sessions.begin() as session:
                retry_after = await self._count(session, username_key(username), username, caller)
                user = None if retry_after else await repository.user_by_key(session, username_key(username))
            self._refuse(retry_after)
            verdict = await self._passwords.verify(user.password_hash if user else None, password)
            async with self._sessions.begin() as session:
                granted = await self._settle(session, user, verdict, username, caller)
        if granted is None:
            raise InvalidCredentials("The user name or the password is wrong.")
        return granted

    async def change_password(
        self, identity: Identity, current: str, new: str, caller: Caller, *, revoke_api_keys: bool
    ) -> None:
        """Replace the own password; guesses at the current one count as failed logins. API keys stay unless asked.

        Raises WrongPassword, WeakPassword, TooManyAttempts, LoginBusy, AccountGone or AccessEnded.
        """
        async with self._sessions.begin() as session:
            user = await accounts.authentic(session, identity)
            password_rules.check(new, user.username)
            retry_after = await self._count(session, user.username_key, user.username, caller)
        self._refuse(retry_after)
        verdict = await self._passwords.verify(user.password_hash, current)
        new_hash = await self._passwords.hash(new) if verdict.ok else None
        async with self._sessions.begin() as session:
            if new_hash is None:
                audit.record(session, "password_change_refused", user=user, caller=caller)
            else:
                await accounts.set_own_password(
                    session,
                    user,
                    new_hash,
                    kept=identity.session_id,
                    revoke_api_keys=revoke_api_keys,
                    caller=caller,
                    notices=self._notices,
                )
                await repository.forgive(session, user.username_key, caller.address)
        if new_hash is None:
            raise WrongPassword("That is not your current password.")

    async def count_registration(self, username: str, caller: Caller) -> None:
        """Charge a registration to the address; raises TooManyAttempts."""
        async with self._sessions.begin() as session:
            retry_after = await self._count(session, REGISTRATION, username, caller)
        self._refuse(retry_after)

    def _refuse(self, retry_after: int) -> None:
        if retry_after:
            metrics.LOGINS.labels("throttled").inc()
            raise TooManyAttempts(
                f"Too many failed logins; try again in {retry_after} seconds.",
                headers={"Retry-After": str(retry_after)},
            )

    async def _count(self, session: AsyncSession, counted_as: str, username: str, caller: Caller) -> int:
        """Charge the attempt; returns the seconds to wait, 0 to go on."""
        for key, limit in ((repository.EVERYONE, self._limits.per_address), (counted_as, self._limits.per_user)):
            failures, ends_at, now = await repository.count_attempt(session, key, caller.address, self._limits.window)
            if failures > limit:
                # Only the first refusal of a window is written down, or guessing would also fill the disk.
                if failures == limit + 1:
                    audit.record(session, "login_throttled", username=username, caller=caller)
                return max(1, math.ceil((ends_at - now).total_seconds()))
        return 0

    async def _settle(
        self, session: AsyncSession, user: User | None, verdict: Verdict, username: str, caller: Caller
    ) -> Granted | None:
        # Read again: the account may have been changed while the password was hashed.
        current = await repository.user(session, user.id, lock=True) if user and verdict.ok else None
        if current is None or current.disabled_at is not None:
            audit.record(session, "login_failed", user=user, username=username, caller=caller)
            metrics.LOGINS.labels("refused").inc()
            return None
        granted = await self._grants.open(session, current, caller)
        await repository.forgive(session, username_key(username), caller.address)
        await repository.record_login(session, current.id, verdict.fresh_hash)
        audit.record(session, "login_succeeded", user=current, username=username, caller=caller)
        metrics.LOGINS.labels("succeeded").inc()
        return granted
