"""The hub of live log lines."""

import asyncio

import pytest

from common.events.archive import ArchivedBatch, ArchivedRecord
from gateway.errors import TooManyViewers
from gateway.logs.hub import SYSTEM, LogHub, Viewer

JOB = "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"


def said(previous: int, *cursors: int, job: str | None = JOB) -> tuple[str, bytes]:
    """The message of the archive after it stored these lines."""
    lines = [ArchivedRecord.of(cursor, job, {"event": f"é {cursor}"}) for cursor in cursors]
    return "", ArchivedBatch(previous, max([previous, *cursors]), lines).body()


def cursors(viewer: Viewer) -> list[int]:
    return [line.cursor for line in viewer.take()]


@pytest.fixture
async def hub() -> LogHub:
    """A hub that has received the first message of the archive."""
    made = LogHub(10, 3)
    await made.on_archived(*said(0))
    return made


async def test_each_viewer_gets_every_line_of_its_job_and_no_other(hub: LogHub) -> None:
    with hub.watch(JOB) as first, hub.watch(JOB) as second, hub.watch("another") as third, hub.watch(SYSTEM) as all_of:
        await hub.on_archived(*said(0, 1))
        await hub.on_archived(*said(1, 2, job=None))
        await hub.on_archived(*said(2, 3))
        assert cursors(first) == cursors(second) == [1, 3]
        assert cursors(third) == []
        assert cursors(all_of) == [1, 2, 3]
        assert not first.behind


async def test_line_contains_its_cursor(hub: LogHub) -> None:
    with hub.watch(JOB) as viewer:
        await hub.on_archived(*said(0, 7))
        assert [line.text for line in viewer.take()] == ['{"cursor":7,"event":"é 7"}']


async def test_early_batch_waits_for_the_previous_one(hub: LogHub) -> None:
    with hub.watch(JOB) as viewer:
        await hub.on_archived(*said(2, 3))
        assert cursors(viewer) == []
        await hub.on_archived(*said(0, 1, 2))
        assert cursors(viewer) == [1, 2, 3]
        assert not viewer.behind


async def test_viewers_are_marked_as_behind_when_lines_are_lost(hub: LogHub) -> None:
    with hub.watch(JOB) as viewer:
        await hub.on_archived(*said(5))
        async with asyncio.timeout(5):
            await viewer.wait()
        assert viewer.behind
        viewer.behind = False
        await hub.on_archived(*said(5, 6))
        assert (cursors(viewer), viewer.behind) == ([6], False)


async def test_first_batch_marks_all_viewers_as_behind(hub: LogHub) -> None:
    fresh = LogHub(10, 3)
    with fresh.watch(JOB) as viewer:
        await fresh.on_archived(*said(5, 6))
        assert viewer.behind


async def test_unreadable_messages_are_ignored(hub: LogHub) -> None:
    with hub.watch(JOB) as viewer:
        for body in (b"{", b"[]", b"\xff", b'{"previous": 1}', b'{"previous": 1, "upto": 2, "lines": [1]}'):
            await hub.on_archived("", body)
        await hub.on_archived(*said(0, 1))
        assert cursors(viewer) == [1]


async def test_slow_viewer_is_marked_and_its_queue_does_not_grow(hub: LogHub) -> None:
    with hub.watch(JOB) as slow, hub.watch(JOB) as quick:
        for number in range(1, 6):
            await hub.on_archived(*said(number - 1, number))
            assert cursors(quick) == [number]
        assert slow.too_slow.is_set()
        assert not quick.too_slow.is_set()
        assert cursors(slow) == [1, 2, 3]


def test_number_of_viewers_is_limited_until_one_leaves() -> None:
    hub = LogHub(1, 3)
    for _ in range(3):
        with hub.watch(JOB), pytest.raises(TooManyViewers), hub.watch("another"):
            pass
    assert hub._viewers == {}
