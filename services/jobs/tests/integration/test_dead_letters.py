"""Dead letters are stored, and dead-lettered work fails its job with a reason that names it."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.events import AssembleWork, ChunkWork, PlanWork, keys
from common.messaging import RawMessage
from common.testing import eventually
from common.testing.events import audio_planned, chunk_planned, chunk_transcribed, chunk_work, worker_heartbeat
from jobs.consumers.dead_letters import DeadLetters
from jobs.loops.dispatch import Dispatcher
from jobs.repository import WorkerRepository
from jobs.service import JobCreation, Resources
from jobs.tables import DeadLetter

from .jobs_harness import Person, Platform, a_new_job, an_identity, read_job, sent

pytestmark = pytest.mark.integration


async def dead_letters(sessions: async_sessionmaker[AsyncSession]) -> list[DeadLetter]:
    async with sessions() as session:
        return list((await session.scalars(select(DeadLetter).order_by(DeadLetter.id))).all())


async def dispatched(platform: Platform, person: Person, *, poisoned: bool = False) -> UUID:
    """Create a job with two chunks and wait until the second is with a worker."""
    job_id = await person.create()
    await eventually(lambda: platform.workers.of(job_id, PlanWork))
    if poisoned:
        platform.workers.poisoned.add(f"chunk/{job_id}/1/1")
    for chunk in (0, 1):
        await platform.broker.publish(chunk_planned(job_id, chunk))
    await eventually(lambda: platform.workers.of(job_id, ChunkWork))
    return job_id


async def test_dead_lettered_work_fails_its_job_and_no_other(platform: Platform) -> None:
    person = platform.person()
    bad = await dispatched(platform, person, poisoned=True)
    good = await dispatched(platform, person)

    job = await person.reached(bad, "failed")
    assert job["reason_code"] == "work_dead_lettered"
    assert job["reason"].startswith("Chunk 1 (0:01:00 to 0:02:00) failed after 3 deliveries")
    (letter,) = await dead_letters(platform.sessions)
    assert (letter.job_id, letter.queue, letter.reason) == (bad, "work.chunk.base", "delivery_limit")
    assert ChunkWork.model_validate_json(letter.body).chunk == 1
    assert (await person.job(good))["state"] == "processing"
    await platform.broker.publish(chunk_transcribed(good, 0))
    await eventually(lambda: person.job(good), lambda job: job["chunks_done"] == 1)


async def test_replaying_the_chunk_of_a_failed_job_restarts_the_job(platform: Platform) -> None:
    admin, person = platform.person(role="admin"), platform.person()
    job_id = await dispatched(platform, person, poisoned=True)
    await platform.broker.publish(chunk_transcribed(job_id, 0))
    await person.reached(job_id, "failed")
    (letter,) = await dead_letters(platform.sessions)

    answer = await admin.http.post(f"/admin/dead-letters/{letter.id}/replay")
    assert (answer.status_code, answer.json()["replayed_by"]) == (200, str(admin.id)), answer.text
    again = await admin.http.post(f"/admin/dead-letters/{letter.id}/replay")
    assert again.json() == answer.json(), "a second request starts no second attempt"
    job = await person.reached(job_id, "processing")
    assert [(attempt["attempt"], attempt["state"]) for attempt in job["attempts"]] == [(1, "failed"), (2, "processing")]

    for chunk in (0, 1):
        await platform.broker.publish(chunk_planned(job_id, chunk, attempt=2))
    await platform.broker.publish(audio_planned(job_id, 2, attempt=2))
    (work,) = await eventually(lambda: [work for work in platform.workers.of(job_id, ChunkWork) if work.attempt == 2])
    assert work.chunk == 1, "chunks finished before the failure are reused"
    await platform.broker.publish(chunk_transcribed(job_id, 1, attempt=2))
    await platform.complete(person, job_id, attempt=2)
    (assembly,) = platform.workers.of(job_id, AssembleWork)
    assert assembly.result_keys == [keys.result(job_id, 1, 0), keys.result(job_id, 2, 1)]


async def test_unneeded_work_is_not_replayed(platform: Platform) -> None:
    admin, person = platform.person(role="admin"), platform.person()
    job_id = await dispatched(platform, person, poisoned=True)
    await person.reached(job_id, "failed")
    (letter,) = await dead_letters(platform.sessions)
    await person.http.post(f"/jobs/{job_id}/restart")
    await person.http.post(f"/jobs/{job_id}/cancel")
    refused = await admin.http.post(f"/admin/dead-letters/{letter.id}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "replay_impossible")
    assert (await person.job(job_id))["state"] == "cancelled"


async def test_a_dead_lettered_copy_of_finished_work_fails_nothing(platform: Platform, resources: Resources) -> None:
    person = platform.person()
    job_id = await dispatched(platform, person)
    await platform.broker.publish(chunk_transcribed(job_id, 0))

    async def done() -> bool:
        taken = {work.chunk for work in platform.workers.of(job_id, ChunkWork)}
        return 0 in taken and (await person.job(job_id))["chunks_done"] == 1

    await eventually(done)
    work = next(work for work in platform.workers.of(job_id, ChunkWork) if work.chunk == 0)
    stale = work.model_copy(update={"attempt": 7, "chunk": 1})
    letters = [_dead(command.queue, command.model_dump_json().encode()) for command in (work, stale)]
    await DeadLetters(platform.sessions, resources).store(letters)
    assert (await person.job(job_id))["state"] == "processing"
    assert len(await dead_letters(platform.sessions)) == 2


async def test_dead_lettered_work_of_a_deleted_job_is_dropped(
    sessions: async_sessionmaker[AsyncSession], resources: Resources
) -> None:
    work = chunk_work(uuid4())
    await DeadLetters(sessions, resources).store([_dead(work.queue, work.model_dump_json().encode())])
    assert await dead_letters(sessions) == []


async def test_dead_lettered_events_and_noise_are_stored_unchanged(
    sessions: async_sessionmaker[AsyncSession], resources: Resources
) -> None:
    noise = _dead(
        "jobs.events", b"\x00\xff not json", headers={"x-death": [{"reason": "rejected\x00"}], "raw": b"\xff"}
    )
    broken = _dead("work.chunk.base", b'{"job_id": "nobody"}')
    store = DeadLetters(sessions, resources).store
    await store([noise, broken])
    await asyncio.gather(store([noise]), store([noise]))  # delivered at least once
    first, second = await dead_letters(sessions)
    assert (first.queue, first.body, first.job_id) == ("jobs.events", b"\x00\xff not json", None)
    assert (second.queue, second.deliveries) == ("work.chunk.base", 3)


def _dead(queue: str, body: bytes, headers: dict[str, object] | None = None) -> RawMessage:
    return RawMessage(
        routing_key=queue,
        body=body,
        headers=headers or {},
        queue=queue,
        reason="delivery_limit",
        count=3,
        message_id=None,
        message_type=None,
        correlation_id=None,
    )


async def test_work_in_progress_does_not_fail_its_job(
    sessions: async_sessionmaker[AsyncSession], resources: Resources, engine: AsyncEngine
) -> None:
    async with sessions.begin() as session:
        job = await JobCreation(session, resources).create(an_identity(), a_new_job())
    await Dispatcher(engine, sessions, resources.settings).dispatch()
    (work,) = await sent(sessions, PlanWork)
    patient = Resources(resources.settings.model_copy(update={"dead_work_grace_seconds": 10}), resources.cancellations)
    beat = worker_heartbeat(busy=f"x, {work.key}")
    letter = RawMessage(
        "work.plan", work.model_dump_json().encode(), {}, "work.plan", "delivery_limit", 3, None, None, None
    )
    judging = asyncio.create_task(DeadLetters(sessions, patient).store([letter]))
    await asyncio.sleep(1)
    async with sessions.begin() as session:
        await WorkerRepository(session).store(beat)
    await judging
    assert (await read_job(sessions, job.id)).state == "processing"

    await DeadLetters(sessions, resources).store([letter])
    assert (await read_job(sessions, job.id)).state == "failed", "no heartbeat lists the work any more"
