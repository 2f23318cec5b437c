"""Idempotency-Key: a client that repeats an upload gets the first answer again, and no second job.

The jobs service stores the keys for all replicas of the gateway. A key is leased while an upload arrives; the gateway
renews the lease, so that the key of a killed gateway soon becomes free.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import Request

from common.web.errors import Problem
from gateway.errors import IdempotencyKeyInFlight, IdempotencyKeyReused
from gateway.relay.upstreams import Refusal, Upstream

HEADER: Final = "Idempotency-Key"
_PATH: Final = "/idempotency-keys"
_RENEW_SECONDS: Final = 15.0  # a quarter of the lease


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer of the first request with the key."""

    fingerprint: str
    answer: dict[str, Any]

    def to(self, fingerprint: str) -> dict[str, Any]:
        """The first answer, for a repetition of the same request; raises IdempotencyKeyReused for another one."""
        if fingerprint != self.fingerprint:
            raise IdempotencyKeyReused("This Idempotency-Key was used for an upload with other contents.")
        return self.answer


@dataclass(slots=True)
class Claim:
    """A key that is leased to this request, or its earlier answer."""

    key: str
    holder: UUID
    answered: Answered | None = None
    fulfilled: bool = False
    # It is unknown whether jobs were created: the key stays leased until it expires.
    undecided: bool = False

    def document(self) -> dict[str, str]:
        """The claim in the format of the jobs service."""
        return {"key": self.key, "holder": str(self.holder)}


@asynccontextmanager
async def claimed(request: Request, jobs: Upstream) -> AsyncIterator[Claim | None]:
    """Lease the request's key, if it has one, while the block runs; release it unless it was fulfilled.

    Raises IdempotencyKeyInFlight while another request has the lease, and Refusal for an invalid key.
    """
    key = request.headers.get(HEADER)
    if key is None:
        yield None
        return
    claim = Claim(key, uuid4())
    answer = await _claim(request, jobs, claim)
    if answer["state"] == "in_flight":
        raise IdempotencyKeyInFlight("An upload with this Idempotency-Key is still running; repeat it in a moment.")
    if answer["state"] == "answered":
        claim.answered = Answered(answer["fingerprint"], answer["answer"])
        yield claim
        return
    renewing = asyncio.create_task(_renew(request, jobs, claim))
    try:
        yield claim
    finally:
        renewing.cancel()
        if not claim.fulfilled and not claim.undecided:
            await asyncio.shield(asyncio.create_task(_release(request, jobs, claim)))


async def _claim(request: Request, jobs: Upstream, claim: Claim) -> dict[str, Any]:
    response = await jobs.send(request, "POST", _PATH, json=claim.document())
    if response.is_error:
        raise Refusal(response)
    document: dict[str, Any] = response.json()
    return document


async def _renew(request: Request, jobs: Upstream, claim: Claim) -> None:
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        # An expired lease is detected when the jobs are created.
        with suppress(Problem, Refusal):
            await _claim(request, jobs, claim)


async def _release(request: Request, jobs: Upstream, claim: Claim) -> None:
    # After a failure, the key becomes free when its lease expires.
    with suppress(Problem):
        await jobs.send(request, "POST", f"{_PATH}/release", json=claim.document())
