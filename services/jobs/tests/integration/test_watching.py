"""Streams of a job's events: numbers without gaps, resumption, and an end."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from common.events import AudioRejected
from common.testing import eventually

from .conftest import StartPlatform
from .jobs_harness import Person, Platform

pytestmark = pytest.mark.integration


async def followed(person: Person, job_id: UUID, **headers: str) -> list[dict[str, Any]]:
    """All events of a stream that ends, each as {id, event, ...data}."""
    answer = await person.http.get(f"/jobs/{job_id}/events", headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parsed(answer.text)


def parsed(stream: str) -> list[dict[str, Any]]:
    events = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            events.append({"id": int(fields["id"]), "event": fields["event"], **json.loads(fields["data"])})
    return events


async def test_events_of_a_job_can_be_followed_live_and_read_again(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    live = asyncio.create_task(followed(person, job_id))
    await platform.transcribe(person, job_id, "one", "two")
    events = await live
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert [event["seq"] for event in events] == [event["id"] for event in events]
    states = [event["state"] for event in events if event["event"] == "state"]
    assert states == ["queued", "processing", "enriching", "completed"]
    said = [(event["chunk"], event["segments"][0]["text"]) for event in events if event["event"] == "segments"]
    assert said == [(0, "one"), (1, "two")]
    assert [event["duration_seconds"] for event in events if event["event"] == "progress"] == [125.0]
    progress = [event["progress"] for event in events]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert await followed(person, job_id) == events


async def test_a_stream_resumes_after_any_event_without_gap_or_duplicate(start: StartPlatform) -> None:
    first = await start()
    second = await start()
    person = first.person()
    job_id = await person.create()
    await first.transcribe(person, job_id, "one", "two", "three")
    events = await followed(person, job_id)
    elsewhere = second.person(user_id=person.id)
    for seen in range(len(events)):
        assert await followed(elsewhere, job_id, **{"Last-Event-ID": str(seen)}) == events[seen:]
    answer = await person.http.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": str(len(events))})
    assert answer.status_code == 204, "otherwise browsers reconnect for ever"
    answer = await person.http.get(f"/jobs/{job_id}/events", params={"after": len(events) - 1})
    assert parsed(answer.text) == events[-1:]


async def test_connections_that_end_early_lose_nothing(start: StartPlatform) -> None:
    platform = await start(event_stream_seconds=0.3)
    person = platform.person()
    job_id = await person.create()

    async def patiently() -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1].get("state") != "completed":
            last = str(seen[-1]["id"]) if seen else "0"
            seen += await followed(person, job_id, **{"Last-Event-ID": last})
        return seen

    live = asyncio.create_task(patiently())
    await platform.transcribe(person, job_id, *(f"chunk {number}" for number in range(6)))
    events = await live
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert len([event for event in events if event["event"] == "segments"]) == 6


async def test_a_restarted_job_can_be_followed_through_both_attempts(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await person.reached(job_id, "processing")
    await platform.broker.publish(AudioRejected(job_id=job_id, attempt=1, reason_code="no_audio", reason="None."))
    await person.reached(job_id, "failed")
    await person.http.post(f"/jobs/{job_id}/restart")
    live = asyncio.create_task(followed(person, job_id))
    await person.reached(job_id, "processing")
    await person.http.post(f"/jobs/{job_id}/cancel")
    events = await live
    assert [(event["state"], event["attempt"]) for event in events] == [
        ("queued", 0),
        ("processing", 1),
        ("failed", 1),
        ("queued", 1),
        ("processing", 2),
        ("cancelled", 2),
    ]
    assert [event["reason_code"] for event in events] == [None, None, "no_audio", None, None, "cancelled"]


async def test_a_stream_ends_when_its_job_is_deleted(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    live = asyncio.create_task(followed(person, job_id))
    await person.reached(job_id, "processing")
    await person.http.delete(f"/jobs/{job_id}")
    async with asyncio.timeout(15):
        assert [event["state"] for event in await live if "state" in event][:1] == ["queued"]


async def test_watchers_are_limited_and_release_their_slots(start: StartPlatform) -> None:
    platform = await start(event_watchers=1, event_heartbeat_seconds=0.01)
    person = platform.person()
    job_id = await person.create()
    await person.reached(job_id, "processing")
    live = asyncio.create_task(followed(person, job_id))
    await eventually(lambda: REGISTRY.get_sample_value("verbatim_event_watchers") == 1.0)
    await eventually(
        lambda: person.http.get(f"/jobs/{job_id}/events", params={"after": 1}),
        lambda answer: answer.status_code == 503 and answer.json()["code"] == "too_many_watchers",
    )
    await person.http.post(f"/jobs/{job_id}/cancel")
    await live
    assert (await followed(person, job_id))[-1]["state"] == "cancelled"
