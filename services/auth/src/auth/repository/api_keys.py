"""API keys."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Interval, func, or_, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.tables import ApiKey, User


async def add(session: AsyncSession, key: ApiKey, expires_in: timedelta | None) -> None:
    """Store a new key; None: it does not expire."""
    key.expires_at = None if expires_in is None else func.now() + expires_in
    session.add(key)
    await session.flush()
    await session.refresh(key)


async def of_user(session: AsyncSession, user_id: UUID) -> Sequence[ApiKey]:
    """The user's keys that are not revoked, expired ones included, newest first."""
    unrevoked = (ApiKey.user_id == user_id) & ApiKey.revoked_at.is_(None)
    return (await session.scalars(select(ApiKey).where(unrevoked).order_by(ApiKey.created_at.desc()))).all()


async def revoke(session: AsyncSession, user_id: UUID, key_id: UUID) -> ApiKey | None:
    """Revoke one key of the user; None if there is no such key, or it is revoked already."""
    key = (ApiKey.id == key_id) & (ApiKey.user_id == user_id) & ApiKey.revoked_at.is_(None)
    statement = update(ApiKey).where(key).values(revoked_at=func.now()).returning(ApiKey)
    return (await session.scalars(statement)).one_or_none()


async def revoke_all(session: AsyncSession, user_id: UUID) -> Sequence[UUID]:
    """Revoke every key of the user; returns those that were not revoked before."""
    unrevoked = (ApiKey.user_id == user_id) & ApiKey.revoked_at.is_(None)
    statement = update(ApiKey).where(unrevoked).values(revoked_at=func.now()).returning(ApiKey.id)
    return (await session.scalars(statement)).all()


async def drop_admin_scope(session: AsyncSession, user_id: UUID) -> None:
    """Remove the scope `admin` from every key of the user."""
    admin = (ApiKey.user_id == user_id) & ApiKey.scopes.contains(["admin"])
    await session.execute(update(ApiKey).where(admin).values(scopes=func.array_remove(ApiKey.scopes, "admin")))


async def usable(session: AsyncSession, key_hash: bytes) -> tuple[ApiKey, User, timedelta | None] | None:
    """The valid key with this hash, its owner, and the time until it expires (None: never)."""
    valid = ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    statement = (
        select(ApiKey, User, type_coerce(ApiKey.expires_at - func.now(), Interval))
        .join(User, User.id == ApiKey.user_id)
        .where(ApiKey.key_hash == key_hash, valid, User.disabled_at.is_(None))
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


async def record_use(session: AsyncSession, key_id: UUID) -> None:
    """Store the time at which the key was last used."""
    await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=func.now()))
