"""API keys: what programs log in with."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, func, or_, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.web import Identity
from common.web.identity import AccessEnded, PasswordChangeRequired

from . import audit, metrics, repository
from .audit import Caller
from .errors import ApiKeyNotFound, InvalidApiKey, ScopeNotAllowed, TooManyApiKeys
from .grants import Grants
from .notices import Notices
from .tables import ApiKey, User
from .tokens import API_KEY_PREFIX, TokenIssuer, digest, random_token

SCOPES = ("read", "write", "admin")
SHOWN_CHARACTERS = 10
LIMIT = 100


class ApiKeys:
    """Decisions about keys, inside the transaction of the caller."""

    def __init__(
        self, session: AsyncSession, *, issuer: TokenIssuer, grants: Grants, notices: Notices, caller: Caller
    ) -> None:
        self._session = session
        self._caller = caller
        self._issuer = issuer
        self._grants = grants
        self._notices = notices

    async def create(
        self, user: User, name: str, scopes: Collection[str], expires_in: timedelta | None
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which is never shown again; raises ScopeNotAllowed, TooManyApiKeys or AccessEnded."""
        if await repository.lock_generation(self._session, user.id) != user.generation:
            # A reset of the password came in between: it revokes the keys that it finds, and must find all of them.
            raise AccessEnded("The session has ended. Sign in again.")
        if "admin" in scopes and user.role != "admin":
            raise ScopeNotAllowed("Only administrators may make API keys with the scope admin.")
        if len(await self.of_user(user.id)) >= LIMIT:
            raise TooManyApiKeys(f"An account may have {LIMIT} API keys; revoke one that is not needed.")
        wanted = set(scopes)
        if "write" in wanted:
            wanted.add("read")  # whoever changes something wants to see what became of it
        text = random_token(API_KEY_PREFIX)
        key = ApiKey(
            user_id=user.id,
            name=name,
            prefix=text[:SHOWN_CHARACTERS],
            key_hash=digest(text),
            scopes=[scope for scope in SCOPES if scope in wanted],
            expires_at=None if expires_in is None else func.now() + expires_in,
        )
        self._session.add(key)
        await self._session.flush()
        await self._session.refresh(key)
        audit.record(
            self._session,
            "api_key_created",
            user=user,
            caller=self._caller,
            details=_named(key) | {"scopes": key.scopes},
        )
        return key, text

    async def of_user(self, user_id: UUID) -> Sequence[ApiKey]:
        """The user's keys that are not revoked, expired ones too, the newest first."""
        mine = (ApiKey.user_id == user_id) & ApiKey.revoked_at.is_(None)
        return (await self._session.scalars(select(ApiKey).where(mine).order_by(ApiKey.created_at.desc()))).all()

    async def revoke(self, user: User, key_id: UUID, actor: Identity | None = None) -> None:
        """Make the user's key worthless at once, for the user or for an `actor`; raises ApiKeyNotFound."""
        mine = (ApiKey.id == key_id) & (ApiKey.user_id == user.id) & ApiKey.revoked_at.is_(None)
        statement = update(ApiKey).where(mine).values(revoked_at=func.now()).returning(ApiKey)
        key = (await self._session.scalars(statement)).one_or_none()
        if key is None:
            raise ApiKeyNotFound("There is no such API key, or it is revoked.")
        self._notices.sessions_ended(self._session, key.id)
        audit.record(self._session, "api_key_revoked", user=user, caller=self._caller, actor=actor, details=_named(key))

    async def exchange(self, text: str) -> tuple[str, int]:
        """A short access token for a key, and its seconds; raises InvalidApiKey or PasswordChangeRequired."""
        usable = ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
        statement = (
            select(ApiKey, User, type_coerce(ApiKey.expires_at - func.now(), Interval))
            .join(User, User.id == ApiKey.user_id)
            .where(ApiKey.key_hash == digest(text), usable, User.disabled_at.is_(None))
        )
        row = (await self._session.execute(statement)).one_or_none()
        usable_now = row is not None and not row[1].must_change_password
        metrics.KEY_EXCHANGES.labels("succeeded" if usable_now else "refused").inc()
        if row is None:
            raise InvalidApiKey("The API key is unknown, revoked or expired.")
        key, user = row[0], row[1]
        if user.must_change_password:
            raise PasswordChangeRequired("The owner of this API key must change the password first (PUT /me/password).")
        left: timedelta | None = row[2]
        lifetime = self._issuer.lifetime if left is None else min(left, self._issuer.lifetime)
        await self._session.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=func.now()))
        token = self._issuer.for_api_key(user, key, lifetime, await self._grants.signer(self._session))
        return token, int(lifetime.total_seconds())


def _named(key: ApiKey) -> dict[str, Any]:
    return {"key": str(key.id), "name": key.name, "prefix": key.prefix}
