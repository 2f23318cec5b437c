"""Signing keys."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.tables import SigningKey


async def lock_for_first_start(session: AsyncSession) -> None:
    """Serialise the first start: one replica at a time looks for and creates the first key and administrator."""
    await session.execute(text("LOCK TABLE signing_keys, users IN SHARE ROW EXCLUSIVE MODE"))


async def lock_signing_keys(session: AsyncSession) -> None:
    """Serialise changes of the signing keys; readers are not blocked."""
    await session.execute(text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))


async def served_keys(session: AsyncSession) -> Sequence[SigningKey]:
    """Every key that a valid token may name, newest first."""
    return (await session.scalars(select(SigningKey).where(_served()).order_by(SigningKey.signs_from.desc()))).all()


async def signing_key(session: AsyncSession) -> SigningKey | None:
    """The key that signs now: the newest that may sign already and is still served."""
    newest = select(SigningKey).where(SigningKey.signs_from <= func.now(), _served())
    return (await session.scalars(newest.order_by(SigningKey.signs_from.desc()).limit(1))).one_or_none()


async def announced(session: AsyncSession) -> bool:
    """Whether there is a key that is served already and signs later."""
    return await session.scalar(select(SigningKey.kid).where(SigningKey.signs_from > func.now()).limit(1)) is not None


async def add(session: AsyncSession, key: SigningKey, *, announced: timedelta, tokens_live: timedelta) -> None:
    """Store a key that signs after `announced`; the keys before it are served until their last token has expired."""
    key.signs_from = func.now() + announced
    replaced = update(SigningKey).where(SigningKey.served_until.is_(None))
    await session.execute(replaced.values(served_until=key.signs_from + tokens_live))
    session.add(key)
    await session.flush()
    await session.refresh(key)


async def older_than(session: AsyncSession, age: timedelta) -> bool:
    """Whether the newest key may sign for longer than `age`."""
    return bool(await session.scalar(select(func.max(SigningKey.signs_from) < func.now() - age)))


def _served() -> ColumnElement[bool]:
    return or_(SigningKey.served_until.is_(None), SigningKey.served_until > func.now())
