"""Sessions: open, refresh, end."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from auth import metrics
from auth.errors import InvalidRefreshToken, NoSigningKey, SessionNotFound
from auth.keys.vault import Signer, Vault
from auth.repository import accounts, audit, keys
from auth.repository import sessions as rows
from auth.repository.audit import Caller
from auth.repository.sessions import Presented
from auth.tables import User
from common.web import Identity

from .notices import Notices
from .tokens import REFRESH_PREFIX, TokenIssuer, digest, random_token


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Longest idle time and longest lifetime of a session."""

    idle: timedelta
    longest: timedelta


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token, and the refresh token for the next pair; times in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    password_change_required: bool


class Grants:
    """Opens, refreshes and ends sessions.

    `refresh` owns its transaction, because the second use of a token ends the session although the request fails; the
    other methods run in the transaction of the caller.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        *,
        vault: Vault,
        issuer: TokenIssuer,
        lifetimes: Lifetimes,
        notices: Notices,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._issuer = issuer
        self._lifetimes = lifetimes
        self._notices = notices

    async def open(self, session: AsyncSession, user: User, caller: Caller) -> Granted:
        """Open a session; raises NoSigningKey."""
        signer = await self.signer(session)
        started = await rows.start(session, user.id, caller, idle=self._lifetimes.idle, longest=self._lifetimes.longest)
        return await self._grant(session, user, started.id, signer)

    async def refresh(self, token: str, caller: Caller) -> Granted:
        """Issue a new pair of tokens for a refresh token, which becomes invalid; raises InvalidRefreshToken."""
        async with self._sessions.begin() as session:
            found = await rows.presented(session, digest(token))
            granted = await self._refreshed(session, found, caller) if found else None
        metrics.REFRESHES.labels("refused" if granted is None else "succeeded").inc()
        if granted is None:
            raise InvalidRefreshToken("The session has ended. Log in again.")
        return granted

    async def end(
        self,
        session: AsyncSession,
        user: User,
        session_id: UUID,
        caller: Caller,
        *,
        logout: bool,
        actor: Identity | None = None,
    ) -> None:
        """End one session of the user, on behalf of the user or of an `actor`; raises SessionNotFound."""
        reason = "logout" if logout else "session_ended"
        ended = await rows.end(session, user.id, reason, only=session_id)
        if not ended:
            raise SessionNotFound("There is no session with this id, or it has ended.")
        self._notices.sessions_ended(session, *ended)
        audit.record(
            session,
            "logout" if logout else "session_ended",
            user=user,
            caller=caller,
            actor=actor,
            details={"session": str(session_id)},
        )

    async def log_out(
        self, session: AsyncSession, identity: Identity | None, refresh_token: str | None, caller: Caller
    ) -> None:
        """End the sessions of a verified access token and of a refresh token, even if the refresh token was used.

        Ended sessions and unknown tokens are no error.
        """
        ending: dict[UUID, User] = {}
        if refresh_token and (found := await rows.presented(session, digest(refresh_token))):
            ending[found.session.id] = found.user
        if identity and identity.session_id and (user := await accounts.user(session, identity.user_id)):
            ending[identity.session_id] = user
        for session_id, user in ending.items():
            with suppress(SessionNotFound):
                await self.end(session, user, session_id, caller, logout=True)

    async def end_others(self, session: AsyncSession, user: User, identity: Identity, caller: Caller) -> None:
        """End every session of the user except the current one."""
        ended = await rows.end(session, user.id, "session_ended", kept=identity.session_id)
        self._notices.sessions_ended(session, *ended)
        audit.record(session, "other_sessions_ended", user=user, caller=caller, details={"sessions": len(ended)})

    async def signer(self, session: AsyncSession) -> Signer:
        """The current signing key; raises NoSigningKey."""
        key = await keys.signing_key(session)
        if key is None:
            raise NoSigningKey("No signing key is valid now. Check the dates in the table signing_keys.")
        return self._vault.open(key)

    async def _refreshed(self, session: AsyncSession, found: Presented, caller: Caller) -> Granted | None:
        held, user = found.session, found.user
        if not found.running or user.disabled_at is not None:
            return None
        if not await rows.use(session, found.token):
            # The owner or a thief used the token before. Auth cannot distinguish them, so it ends the session.
            ended = await rows.end(session, user.id, "refresh_token_reused", only=held.id)
            self._notices.sessions_ended(session, *ended)
            audit.record(session, "refresh_token_reused", user=user, caller=caller, details={"session": str(held.id)})
            return None
        await rows.prolong(session, held.id, caller, self._lifetimes.idle)
        return await self._grant(session, user, held.id, await self.signer(session))

    async def _grant(self, session: AsyncSession, user: User, session_id: UUID, signer: Signer) -> Granted:
        refresh_token = random_token(REFRESH_PREFIX)
        await rows.add_refresh_token(session, session_id, digest(refresh_token))
        return Granted(
            access_token=self._issuer.for_session(user, session_id, signer),
            expires_in=int(self._issuer.lifetime.total_seconds()),
            refresh_token=refresh_token,
            refresh_expires_in=int(min(self._lifetimes.idle, self._lifetimes.longest).total_seconds()),
            password_change_required=user.must_change_password,
        )
