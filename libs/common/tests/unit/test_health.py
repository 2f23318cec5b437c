"""Background loops: restarted when they crash, and not ready until they run steadily again."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from common.health import Background, LoopFailing
from common.testing import eventually


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    running = Background(first_pause=0.01, longest_pause=0.05, steady=0.5)
    yield running
    await running.stop()


async def passes(background: Background) -> bool:
    try:
        await background.check()
    except LoopFailing:
        return False
    return True


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_running_loop_passes_the_check(background: Background) -> None:
    background.start("relay", forever)
    await background.check()
    await asyncio.sleep(0)
    await background.check()


async def test_a_crashed_loop_is_logged_restarted_and_fails_until_it_runs_steadily(background: Background) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs <= 2:
            raise ConnectionError("broker gone")
        await forever()

    with capture_logs() as logs:
        background.start("relay", run)
        await eventually(lambda: runs >= 1)
        with pytest.raises(LoopFailing, match="relay"):
            await background.check()
        await eventually(lambda: runs >= 3)
    assert [entry["event"] for entry in logs] == ["background loop crashed"] * 2
    assert all(entry["loop"] == "relay" and entry["exc_info"] for entry in logs)
    assert not await passes(background)  # it runs again, but who knows for how long
    await eventually(lambda: passes(background))


async def test_a_loop_that_returns_is_restarted_too(background: Background) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1

    with capture_logs() as logs:
        background.start("relay", run)
        await eventually(lambda: runs >= 2)
    assert logs[0]["event"] == "background loop returned"
    assert not await passes(background)


async def test_a_cancellation_from_inside_does_not_end_the_loop(background: Background) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError
        await forever()

    background.start("relay", run)
    await eventually(lambda: runs == 2)


async def test_one_failing_loop_does_not_touch_the_others(background: Background) -> None:
    async def crash() -> None:
        raise RuntimeError

    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.001)

    background.start("bad", crash)
    background.start("good", beat)
    await eventually(lambda: beats > 20)
    with pytest.raises(LoopFailing) as failing:
        await background.check()
    assert "bad" in str(failing.value)
    assert "good" not in str(failing.value)


async def test_pauses_grow_up_to_a_limit() -> None:
    background = Background(first_pause=0.01, longest_pause=0.04, steady=60)
    times: list[float] = []

    async def crash() -> None:
        times.append(asyncio.get_running_loop().time())
        raise RuntimeError

    background.start("bad", crash)
    await eventually(lambda: len(times) == 5)
    await background.stop()
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[0] >= 0.008
    assert pauses[2] >= 0.032
    assert pauses[3] >= 0.032


async def test_stopping_ends_the_loops_with_the_last_started_first(background: Background) -> None:
    ended: list[str] = []

    async def run(name: str) -> None:
        try:
            await forever()
        finally:
            ended.append(name)

    background.start("first", lambda: run("first"))
    background.start("second", lambda: run("second"))
    await asyncio.sleep(0.01)
    await background.stop()
    assert ended == ["second", "first"]
    await background.check()


async def test_a_loop_that_does_not_want_to_stop_is_given_up_and_named(background: Background) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    background.start("stubborn", stubborn)
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await background.stop(timeout=0.05)
    assert logs[-1] == {"event": "background loops did not stop", "loops": ["stubborn"], "log_level": "error"}
    release.set()


async def test_a_name_is_used_once(background: Background) -> None:
    background.start("relay", forever)
    with pytest.raises(ValueError, match="relay"):
        background.start("relay", forever)
