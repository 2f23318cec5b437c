"""What was taken back is refused at once, for as long as tokens of it may live, and never let in by accident."""

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
from gateway.revocations import READ_SECONDS, Claims, Revocations
from gateway.upstreams import Upstream


def listing(*session_ids: UUID) -> Callable[[int], Any]:
    """What auth answers when these sessions were ended."""
    return lambda _: {"session_ids": [str(each) for each in session_ids], "users": [], "remember_seconds": 60}


@pytest.fixture
def auth(neighbour: Any) -> Any:
    """Auth as far as the list goes."""
    neighbour.answer = listing()
    return neighbour


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def revocations(auth: Any, upstream: Upstream, now: list[float]) -> Revocations:
    return Revocations(upstream, clock=lambda: now[0])


async def tell(revocations: Revocations, notice: AccessRevoked) -> None:
    await revocations.on_notice(AccessRevoked.name, notice.model_dump_json().encode())


@pytest.mark.parametrize("text", ["", "x", "a.b.c", unchecked_token(sub=7, sid=[], gen="9")])
def test_what_is_no_token_of_ours_has_no_claims_that_could_break_anything(text: str) -> None:
    claims = Claims.of(text)
    assert (claims.user_id, claims.session_id) == (None, None)


async def test_ended_session_is_refused_and_others_are_not(revocations: Revocations) -> None:
    ended, other = uuid4(), uuid4()
    await tell(revocations, AccessRevoked(session_ids=[ended]))
    with pytest.raises(Unauthorized) as refused:
        revocations.check(Claims.of(unchecked_token(sub=str(uuid4()), sid=str(ended), gen=1)))
    assert refused.value.code == "session_ended"
    revocations.check(Claims.of(unchecked_token(sub=str(uuid4()), sid=str(other), gen=1)))


async def test_only_earlier_generations_are_refused_and_a_late_notice_takes_nothing_back(
    revocations: Revocations,
) -> None:
    user = uuid4()

    def ended(generation: int) -> bool:
        return revocations.has_ended(Claims(user, uuid4(), generation))

    await tell(revocations, AccessRevoked(user_id=user, generation=3))
    await tell(revocations, AccessRevoked(user_id=user, generation=2))
    assert [ended(generation) for generation in (1, 2, 3, 4)] == [True, True, False, False]
    assert not revocations.has_ended(Claims(uuid4(), uuid4(), 1))


async def test_list_is_read_before_anybody_is_let_in_and_asked_for_once_a_second_at_most(
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


async def test_unusable_list_is_no_list(auth: Any, revocations: Revocations) -> None:
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


async def test_list_is_read_again_at_once_when_notices_may_have_been_missed(
    auth: Any, revocations: Revocations
) -> None:
    ended = uuid4()
    told = False

    def reconnect() -> bool:
        nonlocal told
        if auth.asked == 1 and not told:
            told = True
            auth.answer = listing(ended)
            revocations.missed()
        return revocations.has_ended(Claims(None, ended, 1))

    assert READ_SECONDS > 5
    await run_until(revocations, reconnect)
    assert auth.asked == 2


async def test_unreadable_notice_makes_it_read_the_list(auth: Any, revocations: Revocations) -> None:
    told = False

    def garble() -> bool:
        nonlocal told
        if auth.asked == 1 and not told:
            told = True
            asyncio.get_running_loop().create_task(revocations.on_notice(AccessRevoked.name, b"{"))
        return bool(auth.asked == 2)

    await revocations.on_notice("control.worker_heartbeat", b"not for us")
    await run_until(revocations, garble)


async def test_answer_that_was_on_its_way_takes_no_notice_back(auth: Any, revocations: Revocations) -> None:
    ended = uuid4()
    await tell(revocations, AccessRevoked(session_ids=[ended]))
    await revocations.known()
    assert revocations.has_ended(Claims(None, ended, 1))


async def test_entries_are_forgotten_when_no_token_of_them_can_live(
    auth: Any, revocations: Revocations, now: list[float]
) -> None:
    await revocations.known()
    ended: UUID = uuid4()
    await tell(revocations, AccessRevoked(session_ids=[ended], user_id=ended, generation=2))
    now[0] += 59
    revocations.forget()
    assert revocations.has_ended(Claims(None, ended, 1))
    now[0] += 2
    revocations.forget()
    assert not revocations.has_ended(Claims(ended, ended, 1))


async def test_who_watches_hears_of_the_end_and_others_do_not(revocations: Revocations) -> None:
    mine, theirs = Claims(uuid4(), uuid4(), 1), Claims(uuid4(), uuid4(), 1)
    with revocations.watch(mine) as ended, revocations.watch(theirs) as other:
        await tell(revocations, AccessRevoked(session_ids=[mine.session_id or uuid4()]))
        assert ended.is_set()
        assert not other.is_set()


def test_notice_about_a_user_names_the_generation() -> None:
    with pytest.raises(ValueError, match="belong together"):
        AccessRevoked.model_validate(json.loads(f'{{"user_id": "{uuid4()}"}}'))
