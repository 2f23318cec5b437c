"""Sessions and their refresh tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.tables import ApiKey, RefreshToken, Session, User

from .audit import Caller

USER_AGENT_CHARACTERS = 300


async def start(
    session: AsyncSession, user_id: UUID, caller: Caller, *, idle: timedelta, longest: timedelta
) -> Session:
    """Store a new session of the user."""
    agent = caller.user_agent[:USER_AGENT_CHARACTERS] if caller.user_agent else None
    started = Session(
        user_id=user_id,
        address=caller.address,
        user_agent=agent,
        expires_at=func.now() + min(idle, longest),
        ends_at=func.now() + longest,
    )
    session.add(started)
    await session.flush()
    return started


async def add_refresh_token(session: AsyncSession, session_id: UUID, token_hash: bytes) -> None:
    """Store the hash of a refresh token that is issued."""
    session.add(RefreshToken(token_hash=token_hash, session_id=session_id))
    await session.flush()


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that a client has sent, with its session and user."""

    token: RefreshToken
    session: Session
    user: User
    running: bool


async def presented(session: AsyncSession, token_hash: bytes) -> Presented | None:
    """The refresh token with this hash, if auth has issued it; locks its session."""
    running = Session.ended_at.is_(None) & (Session.expires_at > func.now())
    statement = (
        select(RefreshToken, Session, User, running)
        .join(Session, Session.id == RefreshToken.session_id)
        .join(User, User.id == Session.user_id)
        .where(RefreshToken.token_hash == token_hash)
        # Serialises two uses of one token: the second one sees the first.
        .with_for_update(of=Session)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Presented(row[0], row[1], row[2], row[3])


async def use(session: AsyncSession, token: RefreshToken) -> bool:
    """Mark the token as used; False if it was used before."""
    unused = (RefreshToken.token_hash == token.token_hash) & RefreshToken.used_at.is_(None)
    used = update(RefreshToken).where(unused).values(used_at=func.now()).returning(RefreshToken.token_hash)
    return (await session.execute(used)).one_or_none() is not None


async def prolong(session: AsyncSession, session_id: UUID, caller: Caller, idle: timedelta) -> None:
    """Store the use of the session and extend it by the idle time, but not beyond its longest lifetime."""
    await session.execute(
        update(Session)
        .where(Session.id == session_id)
        .values(
            last_used_at=func.now(),
            expires_at=func.least(func.now() + idle, Session.ends_at),
            address=caller.address,
        )
    )


async def end(
    session: AsyncSession, user_id: UUID, reason: str, *, only: UUID | None = None, kept: UUID | None = None
) -> Sequence[UUID]:
    """End the user's sessions, `only` one of them or all except `kept`; returns those that were running."""
    statement = update(Session).where(Session.user_id == user_id, Session.ended_at.is_(None))
    statement = statement.where(Session.id.is_distinct_from(kept) if only is None else Session.id == only)
    return (await session.scalars(statement.values(ended_at=func.now(), end_reason=reason).returning(Session.id))).all()


async def running(session: AsyncSession, user_id: UUID, limit: int) -> Sequence[Session]:
    """The user's sessions that can still be used, last used first."""
    alive = (Session.user_id == user_id) & Session.ended_at.is_(None) & (Session.expires_at > func.now())
    return (
        await session.scalars(select(Session).where(alive).order_by(Session.last_used_at.desc()).limit(limit))
    ).all()


async def access_ended(session: AsyncSession, session_id: UUID) -> bool:
    """Whether the session with this id was ended, or the API key revoked, before it expired."""
    ended = select(Session.id).where(Session.id == session_id, Session.ended_at.is_not(None))
    revoked = select(ApiKey.id).where(ApiKey.id == session_id, ApiKey.revoked_at.is_not(None))
    return (await session.execute(ended.union_all(revoked))).first() is not None


async def recently_ended(session: AsyncSession, within: timedelta) -> Sequence[UUID]:
    """The sessions that were ended, and the API keys that were revoked, within this time."""
    ended = select(Session.id).where(Session.ended_at > func.now() - within)
    revoked = select(ApiKey.id).where(ApiKey.revoked_at > func.now() - within)
    return (await session.scalars(ended.union_all(revoked))).all()


async def recent_generations(session: AsyncSession, within: timedelta) -> Sequence[tuple[UUID, int]]:
    """The users whose tokens were all revoked within this time, and their current generation."""
    changed = select(User.id, User.generation).where(User.generation > 1, User.generation_at > func.now() - within)
    return [(row[0], row[1]) for row in await session.execute(changed)]


async def prune(session: AsyncSession, after: timedelta) -> int:
    """Delete sessions that ended longer ago than `after`, with their refresh tokens; returns how many."""
    gone = delete(Session).where(func.coalesce(Session.ended_at, Session.expires_at) < func.now() - after)
    return len((await session.scalars(gone.returning(Session.id))).all())
