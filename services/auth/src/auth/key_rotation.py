"""Replacing the signing key while everybody works: announce the next one, wait, sign with it, drop the old one late."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.web import Identity
from common.web.identity import CACHE_SECONDS

from . import audit, repository
from .audit import Caller
from .errors import RotationPending
from .keys import Vault
from .tables import SigningKey

log = structlog.get_logger(__name__)

#: Every verifier has read the key set again by then, so nobody meets a key that it does not know.
ANNOUNCED_FOR = timedelta(seconds=CACHE_SECONDS + 60)
CHECK_SECONDS = 3600


class KeyRotation:
    """Decides when a key is replaced, and how."""

    def __init__(self, vault: Vault, token_lifetime: timedelta, age: timedelta) -> None:
        """`token_lifetime` is the time for which a token may be valid, `age` that at which a key is replaced."""
        self._vault = vault
        self._token_lifetime = token_lifetime
        self._age = age

    async def rotate(
        self, session: AsyncSession, caller: Caller | None = None, actor: Identity | None = None
    ) -> SigningKey:
        """Announce a new key, in the transaction of the caller; raises RotationPending."""
        await repository.lock_signing_keys(session)
        newest = select(SigningKey).order_by(SigningKey.signs_from.desc()).limit(1)
        if await session.scalar(newest.where(SigningKey.signs_from > func.now())) is not None:
            raise RotationPending("A new signing key is announced already and signs within minutes.")
        key = self._vault.generate()
        key.signs_from = func.now() + ANNOUNCED_FOR
        served_until = key.signs_from + self._token_lifetime
        in_use = SigningKey.served_until.is_(None)
        await session.execute(update(SigningKey).where(in_use).values(served_until=served_until))
        session.add(key)
        await session.flush()
        await session.refresh(key)
        audit.record(session, "signing_key_rotated", caller=caller, actor=actor, details={"kid": key.kid})
        return key

    async def run(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        """Replace a key that has become too old, until cancelled."""
        while True:
            async with sessions.begin() as session:
                await self.rotate_if_due(session)
            await asyncio.sleep(CHECK_SECONDS)

    async def rotate_if_due(self, session: AsyncSession) -> bool:
        """Rotate if the newest key is older than it should become; tells whether it did."""
        await repository.lock_signing_keys(session)
        youngest = select(func.max(SigningKey.signs_from) < func.now() - self._age)
        if not await session.scalar(youngest):
            return False
        await self.rotate(session)
        return True
