"""Registration, access checks, passwords, and the administration of accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from auth.access.notices import Notices
from auth.credentials import passwords, rules
from auth.credentials.names import username_key
from auth.credentials.passwords import Passwords
from auth.errors import AccountGone, LastAdmin, UsernameTaken, UserNotFound
from auth.repository import accounts, api_keys, audit, sessions
from auth.repository.audit import Caller, Kind
from auth.tables import User
from common.web import Identity
from common.web.identity import AccessEnded

Role = Literal["admin", "user"]


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of an account by an administrator; None leaves the value as it is."""

    role: Role | None = None
    disabled: bool | None = None


async def authentic(session: AsyncSession, identity: Identity) -> User:
    """The account of a verified identity whose access is not revoked; raises AccountGone or AccessEnded."""
    return await with_access(session, identity.user_id, identity.session_id, identity.generation)


async def with_access(session: AsyncSession, user_id: UUID, session_id: UUID | None, generation: int) -> User:
    """The account that tokens with these claims give access to; raises AccountGone or AccessEnded."""
    user = await accounts.active_user(session, user_id)
    if user is None:
        raise AccountGone("This account was deleted or disabled.")
    ended = session_id is not None and await sessions.access_ended(session, session_id)
    if ended or generation < user.generation:
        raise AccessEnded("The session has ended. Sign in again.")
    return user


async def existing(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> User:
    """The account with this id; `lock` locks its row. Raises UserNotFound."""
    user = await accounts.user(session, user_id, lock=lock)
    if user is None:
        raise UserNotFound("There is no account with this id.")
    return user


async def refuse_last_admin(session: AsyncSession, user_id: UUID) -> None:
    """Lock the administrators; raises LastAdmin if the account is the only one that can log in."""
    if await accounts.lock_active_admins(session) == {user_id}:
        raise LastAdmin("This is the last administrator who can log in. Create another administrator first.")


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
    """Store the new password of the owner, end every session except `kept`, and revoke the API keys on request."""
    await accounts.set_password(session, user.id, password_hash, must_change=False)
    ended = await sessions.end(session, user.id, "password_changed", kept=kept)
    keys = await api_keys.revoke_all(session, user.id) if revoke_api_keys else ()
    notices.sessions_ended(session, *ended, *keys)
    details = {"sessions_ended": len(ended), "api_keys_revoked": len(keys)}
    audit.record(session, "password_changed", user=user, caller=caller, details=details)


class Accounts:
    """Decisions about accounts, in the transaction of the caller."""

    def __init__(self, session: AsyncSession, *, hasher: Passwords, notices: Notices, caller: Caller) -> None:
        self._session = session
        self._hasher = hasher
        self._notices = notices
        self._caller = caller

    async def register(self, username: str, password: str) -> User:
        """Create the account of a registration; raises WeakPassword or UsernameTaken."""
        rules.check(password, username)
        user = await self._add(username, "user", await self._hasher.hash(password), must_change=False)
        audit.record(self._session, "user_registered", user=user, caller=self._caller)
        return user

    async def create(self, actor: Identity, username: str, role: Role, password: str | None) -> tuple[User, str | None]:
        """Create an account; returns it with the one-time password that is generated if none is given.

        The administrator knows the password in both cases, so the owner must change it.
        """
        if password is not None:
            rules.check(password, username)
        one_time = passwords.generate() if password is None else None
        user = await self._add(username, role, await self._hasher.hash(password or one_time or ""), must_change=True)
        self._record("user_created", user, actor, role=role)
        return user, one_time

    async def reset_password(self, actor: Identity, user_id: UUID) -> tuple[User, str]:
        """Replace a forgotten password by a one-time password, end every session and revoke every API key.

        Anybody who knew the old password could have created API keys. Raises UserNotFound.
        """
        user = await existing(self._session, user_id, lock=True)
        one_time = passwords.generate()
        hashed = await self._hasher.hash(one_time)
        await accounts.set_password(self._session, user.id, hashed, must_change=True)
        await self._revoke_access(user, "password_reset")
        revoked = await api_keys.revoke_all(self._session, user.id)
        self._notices.sessions_ended(self._session, *revoked)
        self._record("password_reset", user, actor, api_keys_revoked=len(revoked))
        return user, one_time

    async def change(self, actor: Identity, user_id: UUID, changes: Changes) -> User:
        """Change the role or the state of an account; raises UserNotFound or LastAdmin."""
        if changes.disabled is True or changes.role == "user":
            await refuse_last_admin(self._session, user_id)
        user = await existing(self._session, user_id, lock=True)
        if changes.role is not None and changes.role != user.role:
            self._record("role_changed", user, actor, role=changes.role, before=user.role)
            user.role = changes.role
            # Permanent, in both directions: a key never gets a right that its owner did not have when it was created.
            await api_keys.drop_admin_scope(self._session, user.id)
            # The sessions continue: the next refresh issues tokens with the new role.
            self._notices.user_changed(self._session, user.id, await accounts.raise_generation(self._session, user.id))
        if changes.disabled is not None and changes.disabled != (user.disabled_at is not None):
            await accounts.set_disabled(self._session, user.id, changes.disabled)
            if changes.disabled:
                await self._revoke_access(user, "user_disabled")
            self._record("user_disabled" if changes.disabled else "user_enabled", user, actor)
        await self._session.flush()
        await self._session.refresh(user)
        return user

    async def page(self, *, limit: int, after: str | None, search: str | None) -> Sequence[User]:
        """Accounts ordered by name, after a normalised name, whose name contains `search`."""
        wanted = username_key(search) if search else None
        return await accounts.users(self._session, limit=limit, after=after, search=wanted)

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
            raise UsernameTaken("Another account has this name or a similar one. Choose another name.") from error
        return user

    async def _revoke_access(self, user: User, reason: str) -> None:
        """End the user's sessions and revoke every token, including those of API keys."""
        await sessions.end(self._session, user.id, reason)
        self._notices.user_changed(self._session, user.id, await accounts.raise_generation(self._session, user.id))

    def _record(self, kind: Kind, user: User, actor: Identity, **details: str | int) -> None:
        audit.record(self._session, kind, user=user, caller=self._caller, actor=actor, details=details)
