"""Idempotency-Key: a client that repeats an upload gets the first answer again, and no second job.

The jobs service keeps the keys, so every replica of the gateway sees the same. A key is held while an upload arrives;
the gateway shows every so often that it lives, so that the key of one that died is soon free again.
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
_SHOW_LIFE_SECONDS: Final = 15.0  # a quarter of what the jobs service waits


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of the first request with the key."""

    fingerprint: str
    answer: dict[str, Any]

    def to(self, fingerprint: str) -> dict[str, Any]:
        """The first answer for a repetition; raises IdempotencyKeyReused for another request."""
        if fingerprint != self.fingerprint:
            raise IdempotencyKeyReused("This Idempotency-Key was used for an upload with other contents.")
        return self.answer


@dataclass(slots=True)
class Claim:
    """A key in this request's hands, or its answer."""

    key: str
    holder: UUID
    answered: Answered | None = None
    fulfilled: bool = False
    # Jobs may exist and nobody knows: the key stays until its time runs out.
    undecided: bool = False

    def document(self) -> dict[str, str]:
        """As the jobs service reads it."""
        return {"key": self.key, "holder": str(self.holder)}


@asynccontextmanager
async def claimed(request: Request, jobs: Upstream) -> AsyncIterator[Claim | None]:
    """Hold the request's key, if it has one, until the block ends; given back unless it was fulfilled.

    Raises IdempotencyKeyInFlight while another request holds it, and Refusal for a key that cannot be one.
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
    alive = asyncio.create_task(_show_life(request, jobs, claim))
    try:
        yield claim
    finally:
        alive.cancel()
        if not claim.fulfilled and not claim.undecided:
            await asyncio.shield(asyncio.create_task(_release(request, jobs, claim)))


async def _claim(request: Request, jobs: Upstream, claim: Claim) -> dict[str, Any]:
    response = await jobs.send(request, "POST", _PATH, json=claim.document())
    if response.is_error:
        raise Refusal(response)
    document: dict[str, Any] = response.json()
    return document


async def _show_life(request: Request, jobs: Upstream, claim: Claim) -> None:
    while True:
        await asyncio.sleep(_SHOW_LIFE_SECONDS)
        # A lease that ran out is found out at the end, when the jobs are created.
        with suppress(Problem, Refusal):
            await _claim(request, jobs, claim)


async def _release(request: Request, jobs: Upstream, claim: Claim) -> None:
    # If nobody hears of it, the key is free when its lease ends.
    with suppress(Problem):
        await jobs.send(request, "POST", f"{_PATH}/release", json=claim.document())
