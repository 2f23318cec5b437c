"""API keys: create, revoke, exchange for access tokens."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth import metrics
from auth.errors import ApiKeyNotFound, InvalidApiKey, ScopeNotAllowed, TooManyApiKeys
from auth.repository import accounts, api_keys, audit
from auth.repository.audit import Caller
from auth.tables import ApiKey, User
from common.web import Identity
from common.web.identity import AccessEnded, PasswordChangeRequired

from .grants import Grants
from .notices import Notices
from .tokens import API_KEY_PREFIX, TokenIssuer, digest, random_token

SCOPES = ("read", "write", "admin")
SHOWN_CHARACTERS = 10
LIMIT = 100


class ApiKeys:
    """Decisions about API keys, in the transaction of the caller."""

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
        """Create a key; returns it with its text, which is not stored.

        Raises ScopeNotAllowed, TooManyApiKeys or AccessEnded.
        """
        if await accounts.lock_generation(self._session, user.id) != user.generation:
            # The password was reset meanwhile. The reset revokes the keys that exist, so no key may be added after it.
            raise AccessEnded("The session has ended. Sign in again.")
        if "admin" in scopes and user.role != "admin":
            raise ScopeNotAllowed("Only administrators may create API keys with the scope admin. Leave out the scope.")
        if len(await api_keys.of_user(self._session, user.id)) >= LIMIT:
            raise TooManyApiKeys(f"An account may have at most {LIMIT} API keys. Revoke a key that is not needed.")
        wanted = set(scopes)
        if "write" in wanted:
            wanted.add("read")  # a client that writes also reads the result
        text = random_token(API_KEY_PREFIX)
        key = ApiKey(
            user_id=user.id,
            name=name,
            prefix=text[:SHOWN_CHARACTERS],
            key_hash=digest(text),
            scopes=[scope for scope in SCOPES if scope in wanted],
        )
        await api_keys.add(self._session, key, expires_in)
        audit.record(
            self._session,
            "api_key_created",
            user=user,
            caller=self._caller,
            details=_named(key) | {"scopes": key.scopes},
        )
        return key, text

    async def revoke(self, user: User, key_id: UUID, actor: Identity | None = None) -> None:
        """Revoke one key of the user, on behalf of the user or of an `actor`; raises ApiKeyNotFound."""
        key = await api_keys.revoke(self._session, user.id, key_id)
        if key is None:
            raise ApiKeyNotFound("There is no API key with this id, or it is revoked.")
        self._notices.sessions_ended(self._session, key.id)
        audit.record(self._session, "api_key_revoked", user=user, caller=self._caller, actor=actor, details=_named(key))

    async def exchange(self, text: str) -> tuple[str, int]:
        """Issue a short access token for a key; returns it with its lifetime in seconds.

        Raises InvalidApiKey or PasswordChangeRequired.
        """
        found = await api_keys.usable(self._session, digest(text))
        accepted = found is not None and not found[1].must_change_password
        metrics.KEY_EXCHANGES.labels("succeeded" if accepted else "refused").inc()
        if found is None:
            raise InvalidApiKey("The API key is unknown, revoked or expired. Create a new key.")
        key, user, left = found
        if user.must_change_password:
            raise PasswordChangeRequired("The owner of this API key must change the password first (PUT /me/password).")
        lifetime = self._issuer.lifetime if left is None else min(left, self._issuer.lifetime)
        await api_keys.record_use(self._session, key.id)
        token = self._issuer.for_api_key(user, key, lifetime, await self._grants.signer(self._session))
        return token, int(lifetime.total_seconds())


def _named(key: ApiKey) -> dict[str, Any]:
    return {"key": str(key.id), "name": key.name, "prefix": key.prefix}
