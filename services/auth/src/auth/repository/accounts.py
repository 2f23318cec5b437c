"""Accounts and login attempts."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Text, case, cast, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth.tables import ApiKey, LoginAttempts, SecurityEvent, Session, User

#: Used as the user name in the row that counts the failures of an address for all users together.
EVERYONE = ""


async def user_by_key(session: AsyncSession, username_key: str) -> User | None:
    """The user with this normalised name. A deleted user has none."""
    return (await session.scalars(select(User).where(User.username_key == username_key))).one_or_none()


async def active_user(session: AsyncSession, user_id: UUID) -> User | None:
    """The user with this id, unless the account is disabled."""
    return (await session.scalars(select(User).where(User.id == user_id, User.disabled_at.is_(None)))).one_or_none()


async def user(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> User | None:
    """The user with this id; `lock` locks the row until the transaction ends."""
    statement = select(User).where(User.id == user_id, User.deleted_at.is_(None))
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def users(session: AsyncSession, *, limit: int, after: str | None, search: str | None) -> Sequence[User]:
    """Accounts ordered by name, after a normalised name, whose name contains `search`."""
    statement = select(User).where(User.deleted_at.is_(None)).order_by(User.username_key).limit(limit)
    if after is not None:
        statement = statement.where(User.username_key > after)
    if search:
        statement = statement.where(User.username_key.contains(search, autoescape=True))
    return (await session.scalars(statement)).all()


async def all_users(session: AsyncSession) -> Sequence[User]:
    """Every account that is not deleted; locks the rows."""
    return (await session.scalars(select(User).where(User.deleted_at.is_(None)).with_for_update())).all()


async def make_nameless(session: AsyncSession, user_ids: Collection[UUID]) -> Sequence[tuple[UUID, int]]:
    """Anonymise these accounts and delete their sessions and API keys.

    Returns each id with the generation below which tokens of the account are void.
    """
    nameless = func.concat("deleted-", cast(User.id, Text))
    statement = (
        update(User)
        .where(User.id.in_(user_ids))
        .values(
            username=nameless,
            username_key=nameless,
            role="user",
            password_hash="",
            disabled_at=func.coalesce(User.disabled_at, func.now()),
            deleted_at=func.now(),
            last_login_at=None,
            generation=User.generation + 1,
            generation_at=func.now(),
        )
    )
    gone = [(row[0], row[1]) for row in await session.execute(statement.returning(User.id, User.generation))]
    await session.execute(delete(Session).where(Session.user_id.in_(user_ids)))
    await session.execute(delete(ApiKey).where(ApiKey.user_id.in_(user_ids)))
    return gone


async def forget_deleted(session: AsyncSession, after: timedelta) -> None:
    """Delete the rows of deleted accounts whose last token has expired."""
    await session.execute(delete(User).where(User.deleted_at < func.now() - after))


async def lock_active_admins(session: AsyncSession) -> set[UUID]:
    """The administrators that can log in. Locks the rows: two of them cannot remove each other at the same moment."""
    active = select(User.id).where(User.role == "admin", User.disabled_at.is_(None)).order_by(User.id)
    return set((await session.scalars(active.with_for_update())).all())


async def set_password(session: AsyncSession, user_id: UUID, password_hash: str, *, must_change: bool) -> None:
    """Replace the user's password."""
    values = {"password_hash": password_hash, "must_change_password": must_change}
    await session.execute(update(User).where(User.id == user_id).values(values))


async def set_disabled(session: AsyncSession, user_id: UUID, disabled: bool) -> None:
    """Disable or enable the account."""
    disabled_at = func.now() if disabled else None
    await session.execute(update(User).where(User.id == user_id).values(disabled_at=disabled_at))


async def lock_generation(session: AsyncSession, user_id: UUID) -> int:
    """The current generation of the user. It cannot be raised before this transaction ends."""
    return (await session.execute(select(User.generation).where(User.id == user_id).with_for_update())).scalar_one()


async def raise_generation(session: AsyncSession, user_id: UUID) -> int:
    """Revoke every token of the user; returns the new generation."""
    statement = update(User).where(User.id == user_id)
    statement = statement.values(generation=User.generation + 1, generation_at=func.now())
    return (await session.execute(statement.returning(User.generation))).scalar_one()


async def admin_exists(session: AsyncSession) -> bool:
    """Whether there is an administrator account, enabled or not."""
    return (await session.scalar(select(User.id).where(User.role == "admin").limit(1))) is not None


async def record_login(session: AsyncSession, user_id: UUID, fresh_hash: str | None) -> None:
    """Store the time of a login, and the new hash if the parameters have changed."""
    values: dict[str, Any] = {"last_login_at": func.now()}
    if fresh_hash is not None:
        values["password_hash"] = fresh_hash
    await session.execute(update(User).where(User.id == user_id).values(values))


async def count_attempt(
    session: AsyncSession, username_key: str, address: str, window: timedelta
) -> tuple[int, datetime, datetime]:
    """Count a login attempt as failed until it succeeds; atomic, so that every parallel attempt counts.

    Returns the failures in the window with this one, the window's end, and the database's time.
    """
    over = LoginAttempts.window_ends_at <= func.now()
    fresh_end = func.now() + window
    statement = insert(LoginAttempts).values(
        username_key=username_key, address=address, failures=1, window_ends_at=fresh_end
    )
    statement = statement.on_conflict_do_update(
        index_elements=[LoginAttempts.username_key, LoginAttempts.address],
        set_={
            "failures": case((over, 1), else_=LoginAttempts.failures + 1),
            "window_ends_at": case((over, fresh_end), else_=LoginAttempts.window_ends_at),
        },
    )
    row = (
        await session.execute(statement.returning(LoginAttempts.failures, LoginAttempts.window_ends_at, func.now()))
    ).one()
    return row[0], row[1], row[2]


async def forgive(session: AsyncSession, username_key: str, address: str) -> None:
    """After a successful login: subtract the attempt from the address, and delete the user's failures there."""
    # Lock the rows in the order in which attempts are counted, address first, to avoid deadlocks.
    everyone = (LoginAttempts.username_key == EVERYONE) & (LoginAttempts.address == address)
    await session.execute(
        update(LoginAttempts).where(everyone, LoginAttempts.failures > 0).values(failures=LoginAttempts.failures - 1)
    )
    mine = (LoginAttempts.username_key == username_key) & (LoginAttempts.address == address)
    await session.execute(delete(LoginAttempts).where(mine))


async def prune(session: AsyncSession, audit_retention: timedelta) -> int:
    """Delete expired login windows and expired audit records; returns the number of deleted rows."""
    # Skip rows that a login has locked: waiting for them could deadlock.
    expired = (
        select(LoginAttempts.username_key, LoginAttempts.address)
        .where(LoginAttempts.window_ends_at < func.now())
        .with_for_update(skip_locked=True)
    )
    windows = await session.execute(
        delete(LoginAttempts).where(tuple_(LoginAttempts.username_key, LoginAttempts.address).in_(expired))
    )
    records = await session.execute(
        delete(SecurityEvent).where(SecurityEvent.occurred_at < func.now() - audit_retention)
    )
    assert isinstance(windows, CursorResult)
    assert isinstance(records, CursorResult)
    return windows.rowcount + records.rowcount
