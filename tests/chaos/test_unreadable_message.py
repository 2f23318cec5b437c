"""Row 14: what cannot be read is dead-lettered at its first delivery; administrators see it, and others flow."""

from typing import Any
from uuid import uuid4

import pytest

from common.messaging.envelope import Envelope
from common.testing import eventually
from native import rabbitmq
from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    ("exchange", "key", "body", "graves"),
    [
        ("events", "job.created.v1", b"\x00\xff not JSON", {"metadata.events", "cleanup.events"}),
        ("events", "job.created.v1", b'{"version": 99}', {"metadata.events", "cleanup.events"}),
        ("work", "work.plan", b"{", {"work.plan"}),
        ("work", "work.chunk.base", b'{"job_id": "nobody"}', {"work.chunk.base"}),
    ],
)
async def test_unreadable_message_is_buried_at_once(
    platform: Platform, exchange: str, key: str, body: bytes, graves: set[str]
) -> None:
    before = _letters(platform)
    await _forge(platform, exchange, key, body)
    platform.submit(marked.brief())
    await _assert_buried(platform, graves, before)
    await assert_whole(platform)


async def test_unreadable_message_is_buried_although_the_broker_dead_letters_no_more(platform: Platform) -> None:
    before = _letters(platform)
    await rabbitmq.end_dead_lettering(platform.fleet.state)
    try:
        await _forge(platform, "events", "job.created.v1", b"not JSON")
        await _forge(platform, "work", "work.plan", b"{")
        platform.submit(marked.brief())
        await _assert_buried(platform, {"metadata.events", "cleanup.events", "work.plan"}, before)
        await assert_whole(platform)
    finally:
        await platform.fleet.stop(rabbitmq.NAME)  # which is the remedy; the fixture starts it again


async def _forge(platform: Platform, exchange: str, key: str, body: bytes) -> None:
    """Send something that nobody can read; no two are the same, or it would be the letter of the time before."""
    async with platform.broker() as broker:
        await broker.send(Envelope(exchange, key, str(uuid4()), key, "", None, body + uuid4().hex.encode()))


def _letters(platform: Platform) -> dict[int, dict[str, Any]]:
    """The latest dead letters by their ids."""
    letters = platform.user.http.get("/admin/dead-letters").json()["items"]
    return {letter["id"]: letter for letter in letters}


async def _assert_buried(platform: Platform, graves: set[str], before: dict[int, dict[str, Any]]) -> None:
    """One new letter comes from each of these queues, cannot be replayed, and can be discarded."""

    async def buried() -> list[dict[str, Any]] | None:
        letters = [letter for number, letter in _letters(platform).items() if number not in before]
        return letters if {letter["queue"] for letter in letters} == graves else None

    letters = await eventually(buried, what="the message is among the dead letters")
    assert {(letter["reason"], letter["deliveries"]) for letter in letters} == {("rejected", 1)}
    for letter in letters:
        assert platform.user.http.post(f"/admin/dead-letters/{letter['id']}/replay").status_code == 409
        platform.user.http.delete(f"/admin/dead-letters/{letter['id']}").raise_for_status()
