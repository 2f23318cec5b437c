"""Sessions: what a login opens, what keeps it going, and what ends it."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.web import Identity

from . import audit, metrics, repository, session_repository
from .audit import Caller
from .errors import InvalidRefreshToken, NoSigningKey, SessionNotFound
from .keys import Signer, Vault
from .notices import Notices
from .session_repository import Presented
from .tables import User
from .tokens import REFRESH_PREFIX, TokenIssuer, random_token


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session may be idle, and how long it may last at all."""

    idle: timedelta
    longest: timedelta


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token, and the refresh token that the next one is had for; times in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    password_change_required: bool


class Grants:
    """Opens, refreshes and ends sessions.

    `refresh` owns its transaction, because a token that is used twice ends its session although the caller gets an
    error; everything else happens in the caller's.
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
        """A new session; raises NoSigningKey."""
        signer = await self.signer(session)
        started = await session_repository.start(
            session, user.id, caller, idle=self._lifetimes.idle, longest=self._lifetimes.longest
        )
        return await self._grant(session, user, started.id, signer)

    async def refresh(self, token: str, caller: Caller) -> Granted:
        """A new pair of tokens for a refresh token, which then is used up; raises InvalidRefreshToken."""
        async with self._sessions.begin() as session:
            found = await session_repository.presented(session, token)
            granted = await self._refreshed(session, found, caller) if found else None
        metrics.REFRESHES.labels("refused" if granted is None else "succeeded").inc()
        if granted is None:
            raise InvalidRefreshToken("The session is over. Log in again.")
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
        """End one session of the user, for the user or for an `actor`; raises SessionNotFound."""
        reason = "logout" if logout else "session_ended"
        ended = await session_repository.end(session, user.id, reason, only=session_id)
        if not ended:
            raise SessionNotFound("There is no such session, or it is over.")
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
        """End the sessions of a verified access token and of a refresh token, used ones too.

        Sessions that are over, and tokens that are not known any more, are fine: there is nothing left to end.
        """
        leaving: dict[UUID, User] = {}
        if refresh_token and (found := await session_repository.presented(session, refresh_token)):
            leaving[found.session.id] = found.user
        if identity and identity.session_id and (user := await repository.user(session, identity.user_id)):
            leaving[identity.session_id] = user
        for session_id, user in leaving.items():
            with suppress(SessionNotFound):
                await self.end(session, user, session_id, caller, logout=True)

    async def end_others(self, session: AsyncSession, user: User, identity: Identity, caller: Caller) -> None:
        """End every session of the user but the one that asks."""
        ended = await session_repository.end_others(session, user.id, identity.session_id, "session_ended")
        self._notices.sessions_ended(session, *ended)
        audit.record(session, "other_sessions_ended", user=user, caller=caller, details={"sessions": len(ended)})

    async def signer(self, session: AsyncSession) -> Signer:
        """The key that signs now; raises NoSigningKey."""
        key = await repository.signing_key(session)
        if key is None:
            raise NoSigningKey("No key may sign tokens at this moment.")
        return self._vault.open(key)

    async def _refreshed(self, session: AsyncSession, found: Presented, caller: Caller) -> Granted | None:
        held, user = found.session, found.user
        if not found.running or user.disabled_at is not None:
            return None
        if not await session_repository.use(session, found.token):
            # The true owner or a thief used it before. Who is who cannot be told, so both are out.
            ended = await session_repository.end(session, user.id, "refresh_token_reused", only=held.id)
            self._notices.sessions_ended(session, *ended)
            audit.record(session, "refresh_token_reused", user=user, caller=caller, details={"session": str(held.id)})
            return None
        await session_repository.prolong(session, held.id, caller, self._lifetimes.idle)
        return await self._grant(session, user, held.id, await self.signer(session))

    async def _grant(self, session: AsyncSession, user: User, session_id: UUID, signer: Signer) -> Granted:
        refresh_token = random_token(REFRESH_PREFIX)
        await session_repository.add_refresh_token(session, session_id, refresh_token)
        return Granted(
            access_token=self._issuer.for_session(user, session_id, signer),
            expires_in=int(self._issuer.lifetime.total_seconds()),
            refresh_token=refresh_token,
            refresh_expires_in=int(min(self._lifetimes.idle, self._lifetimes.longest).total_seconds()),
            password_change_required=user.must_change_password,
        )
