"""The queries of auth."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Text, case, cast, delete, func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .tables import ApiKey, LoginAttempts, SecurityEvent, Session, SigningKey, User

#: In place of a user's name: the row that counts an address' failures for all users together.
EVERYONE = ""


async def lock_for_first_start(session: AsyncSession) -> None:
    """Let one replica at a time look for, and make, the first key and the first admin."""
    await session.execute(text("LOCK TABLE signing_keys, users IN SHARE ROW EXCLUSIVE MODE"))


async def lock_signing_keys(session: AsyncSession) -> None:
    """Let one replica at a time decide about signing keys; those who only read them go on."""
    await session.execute(text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))


async def user_by_key(session: AsyncSession, username_key: str) -> User | None:
    """The user with this compared name; a deleted one has none any more."""
    return (await session.scalars(select(User).where(User.username_key == username_key))).one_or_none()


async def active_user(session: AsyncSession, user_id: UUID) -> User | None:
    """The user with this id, unless disabled."""
    return (await session.scalars(select(User).where(User.id == user_id, User.disabled_at.is_(None)))).one_or_none()


async def user(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> User | None:
    """The user with this id; `lock` keeps the row for this transaction."""
    statement = select(User).where(User.id == user_id, User.deleted_at.is_(None))
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def users(session: AsyncSession, *, limit: int, after: str | None, search: str | None) -> Sequence[User]:
    """Accounts by name, from behind a compared name, those whose name holds `search`."""
    statement = select(User).where(User.deleted_at.is_(None)).order_by(User.username_key).limit(limit)
    if after is not None:
        statement = statement.where(User.username_key > after)
    if search:
        statement = statement.where(User.username_key.contains(search, autoescape=True))
    return (await session.scalars(statement)).all()


async def all_users(session: AsyncSession) -> Sequence[User]:
    """Every account that is not deleted; locked."""
    return (await session.scalars(select(User).where(User.deleted_at.is_(None)).with_for_update())).all()


async def make_nameless(session: AsyncSession, user_ids: Collection[UUID]) -> Sequence[tuple[UUID, int]]:
    """Leave nothing of these accounts but an id, and the generation below which their tokens are void; returns both."""
    nobody = func.concat("deleted-", cast(User.id, Text))
    statement = (
        update(User)
        .where(User.id.in_(user_ids))
        .values(
            username=nobody,
            username_key=nobody,
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
    """Delete what is left of accounts whose last token has long expired."""
    await session.execute(delete(User).where(User.deleted_at < func.now() - after))


async def lock_active_admins(session: AsyncSession) -> set[UUID]:
    """The admins that can log in; locked, so that two of them cannot remove each other at the same moment."""
    active = select(User.id).where(User.role == "admin", User.disabled_at.is_(None)).order_by(User.id)
    return set((await session.scalars(active.with_for_update())).all())


async def set_password(session: AsyncSession, user_id: UUID, password_hash: str, *, must_change: bool) -> None:
    """Replace the user's password."""
    values = {"password_hash": password_hash, "must_change_password": must_change}
    await session.execute(update(User).where(User.id == user_id).values(values))


async def set_disabled(session: AsyncSession, user_id: UUID, disabled: bool) -> None:
    """Let the user in no more, or again."""
    disabled_at = func.now() if disabled else None
    await session.execute(update(User).where(User.id == user_id).values(disabled_at=disabled_at))


async def lock_generation(session: AsyncSession, user_id: UUID) -> int:
    """The generation that counts now; it cannot be raised before this transaction ends."""
    return (await session.execute(select(User.generation).where(User.id == user_id).with_for_update())).scalar_one()


async def revoke_api_keys(session: AsyncSession, user_id: UUID) -> Sequence[UUID]:
    """Revoke every API key of the user; returns which were not revoked before."""
    mine = (ApiKey.user_id == user_id) & ApiKey.revoked_at.is_(None)
    return (await session.scalars(update(ApiKey).where(mine).values(revoked_at=func.now()).returning(ApiKey.id))).all()


async def drop_admin_scope(session: AsyncSession, user_id: UUID) -> None:
    """Take the scope `admin` from every API key of the user."""
    mine = (ApiKey.user_id == user_id) & ApiKey.scopes.contains(["admin"])
    await session.execute(update(ApiKey).where(mine).values(scopes=func.array_remove(ApiKey.scopes, "admin")))


async def raise_generation(session: AsyncSession, user_id: UUID) -> int:
    """Take back every token of the user; returns the generation that counts from now on."""
    statement = update(User).where(User.id == user_id)
    statement = statement.values(generation=User.generation + 1, generation_at=func.now())
    return (await session.execute(statement.returning(User.generation))).scalar_one()


async def admin_exists(session: AsyncSession) -> bool:
    """Whether any admin account was ever made."""
    return (await session.scalar(select(User.id).where(User.role == "admin").limit(1))) is not None


async def record_login(session: AsyncSession, user_id: UUID, fresh_hash: str | None) -> None:
    """Note the time of a login, and a hash with today's parameters if there is one."""
    values: dict[str, Any] = {"last_login_at": func.now()}
    if fresh_hash is not None:
        values["password_hash"] = fresh_hash
    await session.execute(update(User).where(User.id == user_id).values(values))


async def served_keys(session: AsyncSession) -> Sequence[SigningKey]:
    """Every key that a valid token may name, newest first."""
    served = or_(SigningKey.served_until.is_(None), SigningKey.served_until > func.now())
    return (await session.scalars(select(SigningKey).where(served).order_by(SigningKey.signs_from.desc()))).all()


async def signing_key(session: AsyncSession) -> SigningKey | None:
    """The key that signs now: the newest whose time has come and that is still served."""
    served = or_(SigningKey.served_until.is_(None), SigningKey.served_until > func.now())
    newest = select(SigningKey).where(SigningKey.signs_from <= func.now(), served)
    return (await session.scalars(newest.order_by(SigningKey.signs_from.desc()).limit(1))).one_or_none()


async def count_attempt(
    session: AsyncSession, username_key: str, address: str, window: timedelta
) -> tuple[int, datetime, datetime]:
    """Count one login attempt as failed until proven otherwise; atomic, so that parallel guesses all count.

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
    """A login succeeded: take back what the address was charged for it, forget this user's failures there."""
    # The rows are locked in the order in which attempts are counted, address first, so that nobody deadlocks.
    everyone = (LoginAttempts.username_key == EVERYONE) & (LoginAttempts.address == address)
    await session.execute(
        update(LoginAttempts).where(everyone, LoginAttempts.failures > 0).values(failures=LoginAttempts.failures - 1)
    )
    mine = (LoginAttempts.username_key == username_key) & (LoginAttempts.address == address)
    await session.execute(delete(LoginAttempts).where(mine))


async def prune(session: AsyncSession, audit_retention: timedelta) -> int:
    """Delete login windows that are over and audit lines past their retention; returns how many rows went."""
    # Rows that a login holds right now are left for the next round: waiting for them could deadlock with it.
    expired = (
        select(LoginAttempts.username_key, LoginAttempts.address)
        .where(LoginAttempts.window_ends_at < func.now())
        .with_for_update(skip_locked=True)
    )
    windows = await session.execute(
        delete(LoginAttempts).where(tuple_(LoginAttempts.username_key, LoginAttempts.address).in_(expired))
    )
    lines = await session.execute(delete(SecurityEvent).where(SecurityEvent.occurred_at < func.now() - audit_retention))
    assert isinstance(windows, CursorResult)
    assert isinstance(lines, CursorResult)
    return windows.rowcount + lines.rowcount
