"""One subscription, many viewers."""

import json

import pytest

from gateway.errors import TooManyViewers
from gateway.loghub import LogHub, Viewer

JOB = "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"


def record(number: int, job: str = JOB) -> tuple[str, bytes]:
    body = {"log_id": str(number), "timestamp": f"2026-11-22T12:00:{number:02}", "event": "é"}
    return f"transcriber.info.{job}", json.dumps(body, ensure_ascii=False).encode()


def ids(viewer: Viewer) -> list[str]:
    return [line.log_id for line in viewer.take()]


async def test_each_viewer_gets_every_record_of_its_job_and_no_other() -> None:
    hub = LogHub(10, 3)
    with hub.watch(JOB) as first, hub.watch(JOB) as second, hub.watch("another") as third:
        await hub.on_record(*record(1))
        await hub.on_record(*record(2, "-"))
        await hub.on_record(*record(3))
        assert ids(first) == ids(second) == ["1", "3"]
        assert ids(third) == []


async def test_text_goes_on_as_it_came() -> None:
    hub = LogHub(10, 3)
    with hub.watch(JOB) as viewer:
        key, body = record(1)
        await hub.on_record(key, body)
        assert [line.text for line in viewer.take()] == [body.decode()]


async def test_unreadable_records_are_passed_over() -> None:
    hub = LogHub(10, 3)
    with hub.watch(JOB) as viewer:
        for body in (b"{", b"[]", b"\xff", b'{"event": "no id"}'):
            await hub.on_record(f"jobs.info.{JOB}", body)
        assert ids(viewer) == []


async def test_who_does_not_read_is_marked_and_costs_no_more_memory() -> None:
    hub = LogHub(10, 3)
    with hub.watch(JOB) as slow, hub.watch(JOB) as quick:
        for number in range(5):
            await hub.on_record(*record(number))
            assert ids(quick) == [str(number)]
        assert slow.too_slow.is_set()
        assert not quick.too_slow.is_set()
        assert ids(slow) == ["0", "1", "2"]


def test_viewers_are_limited_and_forgotten_when_they_leave() -> None:
    hub = LogHub(1, 3)
    for _ in range(3):
        with hub.watch(JOB), pytest.raises(TooManyViewers), hub.watch("another"):
            pass
    assert hub._viewers == {}
