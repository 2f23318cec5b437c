"""The API for administrators on a running service."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from common.events import (
    ChunkTranscribed,
    ChunkWork,
    JobDeleted,
    PauseWorkers,
    PlanWork,
    ResetRequested,
    ServiceHeartbeat,
    StorageMeasured,
    StorageUse,
    UserDeleted,
)
from common.testing import eventually
from common.testing.events import audio_planned, chunk_planned, chunk_transcribed, worker_heartbeat
from jobs.tables import DeadLetter, Job

from .conftest import StartPlatform
from .jobs_harness import Person, Platform, sent

pytestmark = pytest.mark.integration

ROUTES = [
    ("GET", "/admin/workers"),
    ("GET", "/admin/stats"),
    ("GET", "/admin/concurrency"),
    ("PUT", "/admin/concurrency"),
    ("GET", "/admin/dead-letters"),
    ("GET", "/admin/dead-letters/1"),
    ("POST", "/admin/dead-letters/1/replay"),
    ("DELETE", "/admin/dead-letters/1"),
    ("POST", "/admin/shutdown"),
    ("POST", "/admin/restart"),
]


async def get(person: Person, path: str, **params: Any) -> Any:
    """Return a JSON answer."""
    answer = await person.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def a_dead_letter(platform: Platform, queue: str, body: bytes, job_id: UUID | None = None) -> int:
    """Store a dead letter."""
    async with platform.sessions.begin() as session:
        letter = DeadLetter(
            fingerprint=uuid4().hex,
            queue=queue,
            reason="delivery_limit",
            deliveries=3,
            routing_key="chunk.transcribed.v1" if queue == "jobs.events" else queue,
            job_id=job_id,
            headers={"traceparent": "00-1-2-01"},
            body=body,
        )
        session.add(letter)
        await session.flush()
        return letter.id


async def test_every_route_requires_an_administrator(platform: Platform) -> None:
    user = platform.person()
    for method, path in ROUTES:
        refused = await user.http.request(method, path, json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "admin_only"), path


async def test_workers_are_listed_from_their_heartbeats(platform: Platform) -> None:
    admin = platform.person(role="admin")
    gpu = {"name": "Tesla T4", "memory_used_bytes": 1, "memory_total_bytes": 2, "busy_percent": 50.0}
    tuning = {"version": "4.8.5", "compute_type": "int8", "threads": 2, "batch_windows": 8}
    await platform.broker.broadcast(worker_heartbeat("w1", busy="plan/1", gpu=gpu, device="cuda", tuning=tuning))
    await platform.broker.broadcast(worker_heartbeat("w2", paused=True))
    seen = await eventually(lambda: get(admin, "/admin/workers"), lambda seen: len(seen["items"]) == 2)
    first, second = seen["items"]
    assert (first["worker"], first["busy"], first["gpu"], first["alive"]) == ("w1", "plan/1", gpu, True)
    assert (first["tuning"], second["tuning"]) == (tuning, None)
    assert (second["paused"], second["gpu"], second["slots"]) == (True, None, 1)
    assert [each["worker"] for each in (await get(admin, "/admin/stats"))["gpus"]] == ["w1"]


async def test_concurrency_applies_at_once_and_survives_a_restart(start: StartPlatform) -> None:
    platform = await start(max_concurrent_jobs=1)
    admin, person = platform.person(role="admin"), platform.person()
    jobs = [await person.create() for _ in range(3)]

    async def running(count: int) -> bool:
        states = [(await person.job(job_id))["state"] for job_id in jobs]
        return states.count("processing") == count

    await eventually(lambda: running(1))
    answer = await admin.http.put("/admin/concurrency", json={"max_concurrent_jobs": 3})
    assert (answer.status_code, answer.json()["max_concurrent_jobs"]) == (200, 3)
    assert answer.json()["changed_by"] == str(admin.id)
    await eventually(lambda: running(3))

    other_replica = await start(max_concurrent_jobs=1)
    view = await get(other_replica.person(role="admin"), "/admin/concurrency")
    assert (view["max_concurrent_jobs"], view["chunks_in_flight_per_job"]) == (3, 4)
    for bad in ({"max_concurrent_jobs": 0}, {"max_jobs": 3}, {"chunks_in_flight_per_job": "many"}):
        assert (await admin.http.put("/admin/concurrency", json=bad)).status_code == 422, bad
    assert (await admin.http.put("/admin/concurrency", json={})).json()["max_concurrent_jobs"] == 1


async def test_paused_workers_are_broadcast_repeatedly(platform: Platform) -> None:
    admin = platform.person(role="admin")
    announced: list[list[str]] = []

    async def consume(key: str, body: bytes) -> None:
        if key == PauseWorkers.name:
            announced.append(PauseWorkers.model_validate_json(body).workers)

    listener = await platform.broker.listen("control", ["#"], consume)
    unknown = await admin.http.put("/admin/concurrency", json={"paused_workers": ["w1"]})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "worker_not_known")
    await platform.broker.broadcast(worker_heartbeat("w1"))
    await eventually(
        lambda: admin.http.put("/admin/concurrency", json={"paused_workers": ["w1"]}),
        lambda answer: answer.status_code == 200,
    )
    await eventually(lambda: announced.count(["w1"]) >= 2)
    await listener.close()


async def test_instances_and_storage_are_shown_as_reported(platform: Platform) -> None:
    admin = platform.person(role="admin")
    beat = ServiceHeartbeat(
        service="metadata", instance="m1", host="h", pid=7, version="1", started_at=datetime.now(UTC),
        cpu_percent=12.5, memory_bytes=1000,
    )  # fmt: skip
    await platform.broker.broadcast(beat)
    for measured_at, objects in ((datetime.now(UTC), 5), (datetime.now(UTC) - timedelta(hours=1), 4)):
        notice = StorageMeasured(measured_at=measured_at, kinds={"uploads": StorageUse(objects=objects, bytes=50)})
        await platform.broker.broadcast(notice)
    stats = await eventually(
        lambda: get(admin, "/admin/stats"),
        lambda stats: {"metadata", "jobs"} <= {each["service"] for each in stats["instances"]},
    )
    (metadata,) = (each for each in stats["instances"] if each["service"] == "metadata")
    assert (metadata["cpu_percent"], metadata["memory_bytes"], metadata["alive"]) == (12.5, 1000, True)
    (own,) = (each for each in stats["instances"] if each["service"] == "jobs")
    assert own["pid"] == os.getpid()
    assert own["memory_bytes"] > 10_000_000
    assert [(each["kind"], each["objects"]) for each in stats["storage"]] == [("uploads", 5)]


async def test_figures_are_computed_from_the_jobs(platform: Platform) -> None:
    admin, person = platform.person(role="admin"), platform.person()
    empty = (await get(admin, "/admin/stats", window="1h"))["kpis"]
    assert (empty["completed"], empty["success_rate"], empty["p95_run_seconds"], empty["rtfx"]) == (0, None, None, None)
    jobs = [await person.create() for _ in range(4)]
    now = func.now()
    async with platform.sessions.begin() as session:
        for number, job_id in enumerate(jobs):
            seconds = 10 * (number + 1)
            ended = {
                "state": "failed" if number == 3 else "completed",
                "reason_code": "no_audio" if number == 3 else None,
                "started_at": now - timedelta(seconds=seconds + 60),
                "transcribed_at": now - timedelta(seconds=70 - 10),
                "finished_at": now - timedelta(seconds=60),
                "duration_seconds": 100.0,
                "decode_seconds": 5.0,
            }
            await session.execute(update(Job).where(Job.id == job_id).values(ended))
    kpis = (await get(admin, "/admin/stats", window="1h"))["kpis"]
    assert (kpis["completed"], kpis["failed"], kpis["success_rate"], kpis["jobs_per_hour"]) == (3, 1, 0.75, 3.0)
    assert (kpis["mean_run_seconds"], kpis["p95_run_seconds"]) == (20.0, 29.0)
    assert (kpis["audio_seconds"], kpis["rtfx"], kpis["rtfx_decoding"]) == (300.0, 5.0, 20.0)
    assert kpis["failures"] == {"no_audio": 1}


async def test_the_queue_counts_waiting_audio(start: StartPlatform) -> None:
    platform = await start(max_concurrent_jobs=1)
    admin, person = platform.person(role="admin"), platform.person()
    running = await person.create()
    await eventually(lambda: platform.workers.of(running, PlanWork))
    await person.create()
    for chunk in range(3):
        await platform.broker.publish(chunk_planned(running, chunk))
    await platform.broker.publish(audio_planned(running, 3))
    await platform.broker.publish(chunk_transcribed(running, 0))
    await eventually(lambda: get(admin, "/admin/stats"), lambda seen: seen["queue"]["audio_seconds_waiting"] == 120.0)
    queue = (await get(admin, "/admin/stats"))["queue"]
    assert (queue["processing"], queue["queued"], queue["unmeasured_jobs"]) == (1, 1, 1)
    assert queue["unmeasured_bytes"] == 1234


async def test_dead_letters_are_listed_inspected_and_discarded(platform: Platform) -> None:
    admin = platform.person(role="admin")
    job_id = uuid4()
    letters = [await a_dead_letter(platform, "jobs.events", b"\xff noise") for _ in range(2)]
    letters.append(await a_dead_letter(platform, "work.plan", b'{"attempt": 1}', job_id))
    page = await get(admin, "/admin/dead-letters", limit=2)
    assert [each["id"] for each in page["items"]] == [letters[2], letters[1]]
    assert page["items"][0]["message_type"] == "work.plan"
    rest = await get(admin, "/admin/dead-letters", limit=2, cursor=page["next_cursor"])
    assert ([each["id"] for each in rest["items"]], rest["next_cursor"]) == ([letters[0]], None)
    assert len((await get(admin, "/admin/dead-letters", job_id=str(job_id)))["items"]) == 1
    assert (await get(admin, f"/admin/dead-letters/{letters[2]}"))["payload"] == {"attempt": 1}
    assert (await get(admin, f"/admin/dead-letters/{letters[0]}"))["payload"] == "\N{REPLACEMENT CHARACTER} noise"
    assert (await admin.http.delete(f"/admin/dead-letters/{letters[0]}")).status_code == 204
    for answer in (
        await admin.http.delete(f"/admin/dead-letters/{letters[0]}"),
        await admin.http.get(f"/admin/dead-letters/{letters[0]}"),
        await admin.http.post(f"/admin/dead-letters/{letters[0]}/replay"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "dead_letter_not_found")


async def test_a_dead_lettered_event_is_replayed_once_under_a_new_id(platform: Platform) -> None:
    admin, person = platform.person(role="admin"), platform.person()
    job_id = await person.create()
    await eventually(lambda: platform.workers.of(job_id, PlanWork))
    event = chunk_transcribed(job_id, 0)
    letter = await a_dead_letter(platform, "jobs.events", event.model_dump_json().encode(), job_id)
    first = await admin.http.post(f"/admin/dead-letters/{letter}/replay")
    again = await admin.http.post(f"/admin/dead-letters/{letter}/replay")
    assert first.status_code == 200
    assert first.json()["replayed_by"] == str(admin.id)
    assert again.json() == first.json()
    await eventually(lambda: person.job(job_id), lambda job: job["chunks_done"] == 1)
    (sent_again,) = await sent(platform.sessions, ChunkTranscribed)
    assert sent_again.event_id != event.event_id
    assert (await get(admin, "/admin/stats"))["queue"]["dead_letters"] == 0


async def test_dead_lettered_work_that_is_needed_is_replayed(platform: Platform) -> None:
    admin, person = platform.person(role="admin"), platform.person()
    job_id = await person.create()
    (plan,) = await eventually(lambda: platform.workers.of(job_id, PlanWork))
    letter = await a_dead_letter(platform, "work.plan", plan.model_dump_json().encode(), job_id)
    assert (await admin.http.post(f"/admin/dead-letters/{letter}/replay")).status_code == 200
    await eventually(lambda: len(platform.workers.of(job_id, PlanWork)) == 2)
    stale = plan.model_copy(update={"attempt": 7})
    for body in (stale.model_dump_json().encode(), b"noise"):
        other = await a_dead_letter(platform, "work.plan", body, job_id)
        refused = await admin.http.post(f"/admin/dead-letters/{other}/replay")
        assert (refused.status_code, refused.json()["code"]) == (409, "replay_impossible")


async def test_reset_deletes_all_earlier_jobs_and_publishes_each(platform: Platform) -> None:
    users = [platform.person() for _ in range(2)]
    before = [await person.create() for person in users for _ in range(2)]
    await platform.broker.publish(ResetRequested(requested_by=uuid4(), occurred_at=datetime.now(UTC)))
    await eventually(
        lambda: sent(platform.sessions, JobDeleted), lambda seen: {event.job_id for event in seen} == set(before)
    )
    later = await users[0].create()
    assert (await users[0].job(later))["id"] == str(later)
    async with platform.sessions() as session:
        assert list(await session.scalars(select(Job.id))) == [later]
    await platform.broker.publish(chunk_planned(before[0], 0))  # a late event changes nothing
    assert not platform.workers.of(before[0], ChunkWork)


async def test_only_the_jobs_of_a_deleted_account_are_deleted(platform: Platform) -> None:
    person, other = platform.person(), platform.person()
    theirs, kept = [await person.create() for _ in range(2)], await other.create()
    await platform.broker.publish(UserDeleted(user_id=person.id, deleted_by=uuid4()))
    await eventually(
        lambda: sent(platform.sessions, JobDeleted), lambda seen: {event.job_id for event in seen} == set(theirs)
    )
    async with platform.sessions() as session:
        assert list(await session.scalars(select(Job.id))) == [kept]


async def test_processes_are_ended_only_where_enabled(start: StartPlatform) -> None:
    platform = await start()
    admin = platform.person(role="admin")
    for path in ("/admin/shutdown", "/admin/restart"):
        refused = await admin.http.post(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "server_control_disabled")

    allowed = await start(enable_server_control=True)
    answer = await allowed.person(role="admin").http.post("/admin/restart")
    assert (answer.status_code, answer.json()["restart"]) == (202, True)
