"""A lock per upload that works across replicas, made of objects in the store.

A writer puts a claim object and then lists all claims: of two simultaneous writers at least one sees the other, because
lists contain every earlier put, and gives up. Ages are differences between timestamps of the store, so that no other
clock matters. The claim of a killed process expires after LEASE_SECONDS.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from common.events import keys
from common.storage import ObjectStore, StoreUnavailable

from .errors import UploadBusy

log = structlog.get_logger(__name__)

LEASE_SECONDS = 10.0
_RENEW_SECONDS = 2.5
_TRIES = 3


class Claim:
    """The right to write to one upload, as long as it is renewed."""

    def __init__(self) -> None:
        self._renewed = time.monotonic()

    def renewed(self, put_at: float) -> None:
        """Record that the claim was stored at this monotonic time."""
        self._renewed = put_at

    def require(self) -> None:
        """Raise UploadBusy if another writer may have taken the claim."""
        if time.monotonic() - self._renewed > LEASE_SECONDS - _RENEW_SECONDS:
            raise UploadBusy("The object store was unavailable for too long; read the offset and continue.")


class Claims:
    """Takes and renews claims."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @asynccontextmanager
    async def hold(self, job_id: UUID) -> AsyncIterator[Claim]:
        """Hold the claim for an upload while the block runs; raises UploadBusy."""
        key = keys.resumable_claim(job_id, uuid4())
        claim = await self._take(job_id, key)
        renewing = asyncio.create_task(self._renew(key, claim), name="renewal of an upload's claim")
        try:
            yield claim
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            with suppress(StoreUnavailable):
                await self._store.delete(key)

    async def _take(self, job_id: UUID, key: str) -> Claim:
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 (so that two writers do not collide again)
            claim, put_at = Claim(), time.monotonic()
            await self._store.put(key, b"")
            claim.renewed(put_at)
            if await self._is_alone(job_id, key):
                return claim
            await self._store.delete(key)
        raise UploadBusy("Another request is writing to this upload.")

    async def _is_alone(self, job_id: UUID, key: str) -> bool:
        claims = {info.key: info.modified async for info in self._store.list(keys.resumable_claims(job_id))}
        now = claims.pop(key, None)
        if now is None:
            return False
        dead = [other for other, put_at in claims.items() if now - put_at > timedelta(seconds=LEASE_SECONDS)]
        if dead:
            log.info("expired claims deleted", claims=len(dead))
            await self._store.delete_many(dead)
        return len(dead) == len(claims)

    async def _renew(self, key: str, claim: Claim) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            put_at = time.monotonic()
            try:
                await self._store.put(key, b"")
            except StoreUnavailable as error:
                log.warning("upload claim not renewed", error=str(error))
            else:
                claim.renewed(put_at)
