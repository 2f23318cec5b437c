"""Accounts: registration, passwords, and what admins may do with the accounts of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from common.web import Identity
from common.web.identity import AccessEnded

from . import audit, password_rules, passwords, repository, session_repository
from .audit import Caller, Kind
from .errors import AccountGone, LastAdmin, UsernameTaken, UserNotFound
from .names import username_key
from .notices import Notices
from .passwords import Passwords
from .tables import User

Role = Literal["admin", "user"]


@dataclass(frozen=True, slots=True)
class Changes:
    """What an admin wants to be different; None leaves it."""

    role: Role | None = None
    disabled: bool | None = None


async def authentic(session: AsyncSession, identity: Identity) -> User:
    """The account behind a token that is not revoked; raises AccountGone or AccessEnded."""
    return await with_access(session, identity.user_id, identity.session_id, identity.generation)


async def with_access(session: AsyncSession, user_id: UUID, session_id: UUID | None, generation: int) -> User:
    """The account that tokens with these claims open; raises AccountGone or AccessEnded."""
    user = await repository.active_user(session, user_id)
    if user is None:
        raise AccountGone("This account was removed or disabled.")
    ended = session_id is not None and await session_repository.access_ended(session, session_id)
    if ended or generation < user.generation:
        raise AccessEnded("The session has ended. Sign in again.")
    return user


async def set_own_password(
    session: AsyncSession,
    user: User,
    password_hash: str,
    *,
    kept: UUID | None,
    revoke_api_keys: bool,
    caller: Caller,
    notices: Notices,
) -> None:
    """Store the owner's new password and end every session but the `kept` one, and the API keys if that is wanted."""
    await repository.set_password(session, user.id, password_hash, must_change=False)
    ended = await session_repository.end_others(session, user.id, kept, "password_changed")
    keys = await repository.revoke_api_keys(session, user.id) if revoke_api_keys else ()
    notices.sessions_ended(session, *ended, *keys)
    details = {"sessions_ended": len(ended), "api_keys_revoked": len(keys)}
    audit.record(session, "password_changed", user=user, caller=caller, details=details)


class Accounts:
    """Decisions about accounts, inside the transaction of the caller."""

    def __init__(self, session: AsyncSession, *, hasher: Passwords, notices: Notices, caller: Caller) -> None:
        self._session = session
        self._hasher = hasher
        self._notices = notices
        self._caller = caller

    async def register(self, username: str, password: str) -> User:
        """An account that somebody makes for themselves; raises WeakPassword or UsernameTaken."""
        password_rules.check(password, username)
        user = await self._add(username, "user", await self._hasher.hash(password), must_change=False)
        audit.record(self._session, "user_registered", user=user, caller=self._caller)
        return user

    async def create(self, actor: Identity, username: str, role: Role, password: str | None) -> tuple[User, str | None]:
        """An account, and the one-time password that was generated if none was given.

        Either way somebody else than its owner knows the password, so it must be changed.
        """
        if password is not None:
            password_rules.check(password, username)
        one_time = passwords.generate() if password is None else None
        user = await self._add(username, role, await self._hasher.hash(password or one_time or ""), must_change=True)
        self._record("user_created", user, actor, role=role)
        return user, one_time

    async def reset_password(self, actor: Identity, user_id: UUID) -> tuple[User, str]:
        """Replace a forgotten password by a one-time one, end every session and revoke every API key.

        Whoever knew the old password could make API keys with it. Raises UserNotFound.
        """
        user = await self._locked(user_id)
        one_time = passwords.generate()
        hashed = await self._hasher.hash(one_time)
        await repository.set_password(self._session, user.id, hashed, must_change=True)
        await self._take_back(user, "password_reset")
        revoked = await repository.revoke_api_keys(self._session, user.id)
        self._notices.sessions_ended(self._session, *revoked)
        self._record("password_reset", user, actor, api_keys_revoked=len(revoked))
        return user, one_time

    async def change(self, actor: Identity, user_id: UUID, changes: Changes) -> User:
        """Change role or state of an account, at once; raises UserNotFound or LastAdmin."""
        loses_admin = changes.disabled is True or changes.role == "user"
        admins = await repository.lock_active_admins(self._session) if loses_admin else set()
        user = await self._locked(user_id)
        if admins == {user.id}:
            raise LastAdmin("This is the last administrator who can log in; make another one first.")
        if changes.role is not None and changes.role != user.role:
            self._record("role_changed", user, actor, role=changes.role, before=user.role)
            user.role = changes.role
            # For good, in both directions: a key never gets a right that its owner did not have when it was made.
            await repository.drop_admin_scope(self._session, user.id)
            # The sessions go on: their next refresh brings tokens with the new role.
            self._notices.user_changed(
                self._session, user.id, await repository.raise_generation(self._session, user.id)
            )
        if changes.disabled is not None and changes.disabled != (user.disabled_at is not None):
            await repository.set_disabled(self._session, user.id, changes.disabled)
            if changes.disabled:
                await self._take_back(user, "user_disabled")
            self._record("user_disabled" if changes.disabled else "user_enabled", user, actor)
        await self._session.flush()
        await self._session.refresh(user)
        return user

    async def page(self, *, limit: int, after: str | None, search: str | None) -> Sequence[User]:
        """Accounts by name, from behind a compared name, those whose name holds `search`."""
        wanted = username_key(search) if search else None
        return await repository.users(self._session, limit=limit, after=after, search=wanted)

    async def find(self, user_id: UUID) -> User:
        """The account; raises UserNotFound."""
        user = await repository.user(self._session, user_id)
        if user is None:
            raise UserNotFound("There is no account with this id.")
        return user

    async def _add(self, username: str, role: Role, password_hash: str, *, must_change: bool) -> User:
        user = User(
            username=username,
            username_key=username_key(username),
            role=role,
            password_hash=password_hash,
            must_change_password=must_change,
        )
        try:
            async with self._session.begin_nested():
                self._session.add(user)
        except IntegrityError as error:
            raise UsernameTaken("Another account has this name, or one that looks like it.") from error
        return user

    async def _locked(self, user_id: UUID) -> User:
        user = await repository.user(self._session, user_id, lock=True)
        if user is None:
            raise UserNotFound("There is no account with this id.")
        return user

    async def _take_back(self, user: User, reason: str) -> None:
        """End the user's sessions and void every token, those of API keys too."""
        await session_repository.end(self._session, user.id, reason)
        self._notices.user_changed(self._session, user.id, await repository.raise_generation(self._session, user.id))

    def _record(self, kind: Kind, user: User, actor: Identity, **details: str | int) -> None:
        audit.record(self._session, kind, user=user, caller=self._caller, actor=actor, details=details)
