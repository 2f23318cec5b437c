"""Chunks share a call of the engine if permitted, wait for expected chunks, and are retried alone."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from transcriber.engines.base import DecodeOptions, EngineDied, Window, WindowResult
from transcriber.engines.process import EngineProcess
from transcriber.errors import WorkCancelled
from transcriber.work.batching import Batcher, Request

ENGLISH = DecodeOptions(language="en")


class Engine:
    """Replaces the engine's process: every call waits for `go`, and a silent window raises EngineDied."""

    pid = None

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.go = asyncio.Event()

    async def decode(self, _model: str, windows: Sequence[Window], _options: DecodeOptions) -> list[WindowResult]:
        self.calls.append(len(windows))
        await self.go.wait()
        if any(not window.any() for window in windows):
            raise EngineDied("silence")
        return [WindowResult(str(window[0]), 0.0, 0.0, (), "en") for window in windows]


def batcher(engine: Engine, *, sharing: bool = True) -> Batcher:
    return Batcher(cast("EngineProcess", engine), sharing=sharing, on_gpu=False)


def request(key: str, *marks: float, **changes: Any) -> Request:
    windows = [np.full(16_000, mark, np.float32) for mark in marks]
    given: dict[str, Any] = {
        "key": key,
        "model": "base",
        "windows": windows,
        "options": ENGLISH,
        "check_cancelled": lambda: None,
    }
    return Request(**given | changes)


async def decoded(batcher: Batcher, engine: Engine, *requests: Request) -> list[Any]:
    """Send requests while the engine is busy with a first one, and return the results of each."""
    busy = asyncio.create_task(batcher.decode(request("busy", 9.0)))
    while not engine.calls:  # noqa: ASYNC110 (the stand-in does not notify)
        await asyncio.sleep(0)
    tasks = [asyncio.create_task(batcher.decode(each)) for each in requests]
    for _ in range(5):
        await asyncio.sleep(0)
    engine.go.set()
    await busy
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def texts(results: list[WindowResult]) -> list[str]:
    return [result.text for result in results]


async def test_waiting_requests_share_a_call_and_get_their_own_results() -> None:
    engine = Engine()
    results = await decoded(batcher(engine), engine, request("a", 1.0, 2.0), request("b", 3.0))
    assert [texts(each) for each in results] == [["1.0", "2.0"], ["3.0"]]
    assert engine.calls == [1, 3]


async def test_no_call_is_shared_if_results_may_depend_on_it() -> None:
    engine = Engine()
    await decoded(batcher(engine, sharing=False), engine, request("a", 1.0), request("b", 3.0))
    assert engine.calls == [1, 1, 1]


@pytest.mark.parametrize(
    "changes", [{"exclusive": True}, {"model": "small"}, {"options": DecodeOptions(language="de")}], ids=str
)
async def test_requests_with_other_parameters_are_not_shared(changes: dict[str, Any]) -> None:
    engine = Engine()
    await decoded(batcher(engine), engine, request("a", 1.0), request("b", 2.0, **changes))
    assert engine.calls == [1, 1, 1]


async def test_a_call_is_never_larger_than_a_batch() -> None:
    engine = Engine()
    await decoded(batcher(engine), engine, request("a", *[1.0] * 6), request("b", *[2.0] * 4), request("c", 3.0, 3.0))
    assert engine.calls == [1, 8, 4]


async def test_a_call_waits_for_expected_chunks() -> None:
    engine = Engine()
    engine.go.set()
    shared = batcher(engine)
    shared.expect("b")
    shared.expect("c")
    first = asyncio.create_task(shared.decode(request("a", 1.0)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert engine.calls == []
    second = asyncio.create_task(shared.decode(request("b", 2.0)))
    for _ in range(5):
        await asyncio.sleep(0)
    await shared.stop_expecting("c")  # it was cancelled before it had any audio
    await asyncio.gather(first, second)
    assert engine.calls == [2]


async def test_cancelled_requests_are_skipped() -> None:
    engine = Engine()

    def unwanted() -> None:
        raise WorkCancelled("job")

    results = await decoded(batcher(engine), engine, request("a", 1.0), request("b", 2.0, check_cancelled=unwanted))
    assert texts(results[0]) == ["1.0"]
    assert isinstance(results[1], WorkCancelled)
    assert engine.calls == [1, 1]


async def test_a_failed_call_fails_for_every_request_and_its_cost_is_shared() -> None:
    engine = Engine()
    pair = request("a", 1.0, 2.0), request("b", 0.0)
    results = await decoded(batcher(engine), engine, *pair)
    assert [type(each) for each in results] == [EngineDied, EngineDied]
    assert pair[0].cost.wall == pytest.approx(2 * pair[1].cost.wall)
    again = request("a", 1.0, 2.0, exclusive=True)
    assert texts(await batcher(engine).decode(again)) == ["1.0", "2.0"]
