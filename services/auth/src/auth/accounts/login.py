"""Login and password change: attempt limits, password check, audit."""

import math
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from auth import metrics
from auth.access.grants import Granted, Grants
from auth.access.notices import Notices
from auth.credentials import rules
from auth.credentials.names import username_key
from auth.credentials.passwords import Passwords, Verdict
from auth.errors import InvalidCredentials, TooManyAttempts, WeakPassword, WrongPassword
from auth.repository import accounts, audit
from auth.repository.audit import Caller
from auth.tables import User
from common.web import Identity

from . import management

#: Used as the user name to count the registrations of an address. Normalised names do not begin with a space.
REGISTRATION = " registration"


@dataclass(frozen=True, slots=True)
class Limits:
    """Failed logins allowed per window: for one user from one address, and for one address altogether."""

    per_user: int
    per_address: int
    window: timedelta


class Login:
    """Opens a session for a user name and a password.

    This class owns its transactions. It opens two short ones, one before and one after the hashing, which is slow: a
    connection held meanwhile would let a few dozen attempts use up the connection pool.
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
        """Open a session and return its tokens; raises InvalidCredentials, TooManyAttempts or LoginBusy."""
        with metrics.LOGIN_SECONDS.time():
            async with self._sessions.begin() as session:
                retry_after = await self._count(session, username_key(username), username, caller)
                user = None if retry_after else await accounts.user_by_key(session, username_key(username))
            self._refuse(retry_after)
            granted, checked = None, False
            while not checked:
                verdict = await self._passwords.verify(user.password_hash if user else None, password)
                async with self._sessions.begin() as session:
                    # Read the account again: it may have changed while the password was hashed.
                    current = await accounts.user(session, user.id, lock=True) if user and verdict.ok else None
                    if current is not None and current.disabled_at is not None:
                        current = None
                    checked = user is None or current is None or current.password_hash == user.password_hash
                    if current is not None and checked:
                        granted = await self._open(session, current, verdict, caller)
                    elif current is None:
                        audit.record(session, "login_failed", user=user, username=username, caller=caller)
                        metrics.LOGINS.labels("refused").inc()
                user = user if checked else current  # another password was set meanwhile: only that one counts
        if granted is None:
            raise InvalidCredentials("The user name or the password is wrong.")
        return granted

    async def change_password(
        self, identity: Identity, current: str, new: str, caller: Caller, *, revoke_api_keys: bool
    ) -> None:
        """Replace the user's own password. A wrong current password counts as a failed login.

        API keys stay valid unless `revoke_api_keys` is set. Raises WrongPassword, WeakPassword, TooManyAttempts,
        LoginBusy, AccountGone or AccessEnded.
        """
        async with self._sessions.begin() as session:
            user = await management.authentic(session, identity)
            rules.check(new, user.username)
            if new == current:
                raise WeakPassword("The new password must differ from the current one.")
            retry_after = await self._count(session, user.username_key, user.username, caller)
        self._refuse(retry_after)
        verdict = await self._passwords.verify(user.password_hash, current)
        new_hash = await self._passwords.hash(new) if verdict.ok else None
        async with self._sessions.begin() as session:
            # The hashing takes long: meanwhile the session may have been ended, or another password set.
            latest = await accounts.user(session, user.id, lock=True)
            await management.authentic(session, identity)
            accepted = new_hash is not None and latest is not None and latest.password_hash == user.password_hash
            if new_hash is None or not accepted:
                audit.record(session, "password_change_refused", user=user, caller=caller)
            else:
                await management.set_own_password(
                    session,
                    user,
                    new_hash,
                    kept=identity.session_id,
                    revoke_api_keys=revoke_api_keys,
                    caller=caller,
                    notices=self._notices,
                )
                await accounts.forgive(session, user.username_key, caller.address)
        if not accepted:
            raise WrongPassword("The current password is wrong.")

    async def count_registration(self, username: str, caller: Caller) -> None:
        """Count a registration for the address; raises TooManyAttempts."""
        async with self._sessions.begin() as session:
            retry_after = await self._count(session, REGISTRATION, username, caller)
        self._refuse(retry_after)

    def _refuse(self, retry_after: int) -> None:
        if retry_after:
            metrics.LOGINS.labels("throttled").inc()
            raise TooManyAttempts(
                f"Too many failed logins. Try again in {retry_after} seconds.",
                headers={"Retry-After": str(retry_after)},
            )

    async def _count(self, session: AsyncSession, counted_as: str, username: str, caller: Caller) -> int:
        """Count the attempt; returns the seconds to wait, 0 if the attempt is allowed."""
        for key, limit in ((accounts.EVERYONE, self._limits.per_address), (counted_as, self._limits.per_user)):
            failures, ends_at, now = await accounts.count_attempt(session, key, caller.address, self._limits.window)
            if failures > limit:
                # Record only the first refusal of a window, so that attempts do not fill the disk.
                if failures == limit + 1:
                    audit.record(session, "login_throttled", username=username, caller=caller)
                return max(1, math.ceil((ends_at - now).total_seconds()))
        return 0

    async def _open(self, session: AsyncSession, user: User, verdict: Verdict, caller: Caller) -> Granted:
        granted = await self._grants.open(session, user, caller)
        await accounts.forgive(session, user.username_key, caller.address)
        await accounts.record_login(session, user.id, verdict.fresh_hash)
        audit.record(session, "login_succeeded", user=user, caller=caller)
        metrics.LOGINS.labels("succeeded").inc()
        return granted
