"""Rotation of the signing key: serve the next key, sign with it later, serve the old one until its tokens expire."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from auth.errors import RotationPending
from auth.repository import audit, keys
from auth.repository.audit import Caller
from auth.tables import SigningKey
from common.web import Identity
from common.web.identity import CACHE_SECONDS

from .vault import Vault

log = structlog.get_logger(__name__)

#: Longer than any verifier caches the key set, so every verifier knows a key before it signs.
ANNOUNCED_FOR = timedelta(seconds=CACHE_SECONDS + 60)
CHECK_SECONDS = 3600


class KeyRotation:
    """Replaces the signing key on request and by age."""

    def __init__(self, vault: Vault, token_lifetime: timedelta, age: timedelta) -> None:
        """`token_lifetime`: how long a token may be valid; `age`: when a key is replaced."""
        self._vault = vault
        self._token_lifetime = token_lifetime
        self._age = age

    async def rotate(
        self, session: AsyncSession, caller: Caller | None = None, actor: Identity | None = None
    ) -> SigningKey:
        """Add a new key in the transaction of the caller; raises RotationPending."""
        await keys.lock_signing_keys(session)
        if await keys.announced(session):
            raise RotationPending("A new signing key is published already. It signs within minutes.")
        key = self._vault.generate()
        await keys.add(session, key, announced=ANNOUNCED_FOR, tokens_live=self._token_lifetime)
        audit.record(session, "signing_key_rotated", caller=caller, actor=actor, details={"kid": key.kid})
        return key

    async def run(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        """Replace the key when it is too old, until cancelled."""
        while True:
            async with sessions.begin() as session:
                await self.rotate_if_due(session)
            await asyncio.sleep(CHECK_SECONDS)

    async def rotate_if_due(self, session: AsyncSession) -> bool:
        """Rotate if the newest key is older than `age`; returns whether it did."""
        await keys.lock_signing_keys(session)
        if not await keys.older_than(session, self._age):
            return False
        await self.rotate(session)
        return True
