"""Revoked sessions and generations are refused until their tokens have expired."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.events import AccessRevoked
from common.testing import eventually
from common.testing.identity import unchecked_token
from common.web import Unauthorized, Unavailable
from gateway.edge.revocations import READ_SECONDS, Claims, Revocations
from gateway.relay.upstreams import Upstream


def listing(*session_ids: UUID) -> Callable[[int], Any]:
    """The answer of auth with these revoked sessions."""
    return lambda _: {"session_ids": [str(each) for each in session_ids], "users": [], "remember_seconds": 60}


@pytest.fixture
def auth(neighbour: Any) -> Any:
    """Auth with an empty list of revocations."""
    neighbour.answer = listing()
    return neighbour


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def revocations(auth: Any, upstream: Upstream, now: list[float]) -> Revocations:
    return Revocations(upstream, clock=lambda: now[0])


async def notify(revocations: Revocations, notice: AccessRevoked) -> None:
    await revocations.on_notice(AccessRevoked.name, notice.model_dump_json().encode())


@pytest.mark.parametrize("text", ["", "x", "a.b.c", unchecked_token(sub=7, sid=[], gen="9")])
def test_invalid_tokens_have_no_claims(text: str) -> None:
    claims = Claims.of_token(text)
    assert (claims.user_id, claims.session_id) == (None, None)


async def test_only_the_revoked_session_is_refused(revocations: Revocations) -> None:
    ended, other = uuid4(), uuid4()
    await notify(revocations, AccessRevoked(session_ids=[ended]))
    with pytest.raises(Unauthorized) as refused:
        revocations.check(Claims.of_token(unchecked_token(sub=str(uuid4()), sid=str(ended), gen=1)))
    assert refused.value.code == "session_ended"
    revocations.check(Claims.of_token(unchecked_token(sub=str(uuid4()), sid=str(other), gen=1)))


async def test_earlier_generations_are_refused_also_after_a_late_notice(
    revocations: Revocations,
) -> None:
    user = uuid4()

    def ended(generation: int) -> bool:
        return revocations.has_ended(Claims(user, uuid4(), generation))

    await notify(revocations, AccessRevoked(user_id=user, generation=3))
    await notify(revocations, AccessRevoked(user_id=user, generation=2))
    assert [ended(generation) for generation in (1, 2, 3, 4)] == [True, True, False, False]
    assert not revocations.has_ended(Claims(uuid4(), uuid4(), 1))


async def test_list_is_read_before_the_first_request_and_retried_once_a_second(
    auth: Any, revocations: Revocations, now: list[float]
) -> None:
    auth.status = 0
    for _ in range(3):
        with pytest.raises(Unavailable):
            await revocations.known()
    assert auth.asked == 1
    auth.status = 200
    now[0] += 1
    await revocations.known()
    await revocations.known()
    assert auth.asked == 2


async def test_invalid_list_means_unavailable(auth: Any, revocations: Revocations) -> None:
    auth.answer = lambda _: {"session_ids": "all"}
    with pytest.raises(Unavailable):
        await revocations.known()


async def run_until(revocations: Revocations, condition: Callable[[], bool]) -> None:
    running = asyncio.create_task(revocations.run())
    try:
        await eventually(condition)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_list_is_read_at_once_when_notices_may_have_been_lost(auth: Any, revocations: Revocations) -> None:
    ended = uuid4()
    changed = False

    def reconnect() -> bool:
        nonlocal changed
        if auth.asked == 1 and not changed:
            changed = True
            auth.answer = listing(ended)
            revocations.missed()
        return revocations.has_ended(Claims(None, ended, 1))

    assert READ_SECONDS > 5
    await run_until(revocations, reconnect)
    assert auth.asked == 2


async def test_list_is_read_after_an_unreadable_notice(auth: Any, revocations: Revocations) -> None:
    changed = False

    def garble() -> bool:
        nonlocal changed
        if auth.asked == 1 and not changed:
            changed = True
            asyncio.get_running_loop().create_task(revocations.on_notice(AccessRevoked.name, b"{"))
        return bool(auth.asked == 2)

    await revocations.on_notice("control.worker_heartbeat", b"another notice")
    await run_until(revocations, garble)


async def test_list_does_not_undo_an_earlier_notice(auth: Any, revocations: Revocations) -> None:
    ended = uuid4()
    await notify(revocations, AccessRevoked(session_ids=[ended]))
    await revocations.known()
    assert revocations.has_ended(Claims(None, ended, 1))


async def test_entries_are_deleted_after_the_lifetime_of_tokens(
    auth: Any, revocations: Revocations, now: list[float]
) -> None:
    await revocations.known()
    ended: UUID = uuid4()
    await notify(revocations, AccessRevoked(session_ids=[ended], user_id=ended, generation=2))
    now[0] += 59
    revocations.forget()
    assert revocations.has_ended(Claims(None, ended, 1))
    now[0] += 2
    revocations.forget()
    assert not revocations.has_ended(Claims(ended, ended, 1))


async def test_only_watchers_of_the_revoked_session_are_notified(revocations: Revocations) -> None:
    mine, theirs = Claims(uuid4(), uuid4(), 1), Claims(uuid4(), uuid4(), 1)
    with revocations.watch(mine) as ended, revocations.watch(theirs) as other:
        await notify(revocations, AccessRevoked(session_ids=[mine.session_id or uuid4()]))
        assert ended.is_set()
        assert not other.is_set()


def test_notice_about_a_user_names_the_generation() -> None:
    with pytest.raises(ValueError, match="set together"):
        AccessRevoked.model_validate(json.loads(f'{{"user_id": "{uuid4()}"}}'))
