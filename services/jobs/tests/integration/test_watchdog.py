"""The watchdog against a real database: stuck work is sent again, and overdue jobs end."""

from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.events import AssembleWork, ChunkWork, JobCompleted, JobFailed, PlanWork
from common.testing.events import audio_planned, chunk_planned, chunk_transcribed, metadata_enriched, transcript_ready
from jobs.loops.dispatch import Dispatcher
from jobs.loops.watchdog import Watchdog
from jobs.service import JobCreation, JobLifecycle, Resources
from jobs.settings import Settings

from .jobs_harness import a_new_job, an_identity, read_job, sent

pytestmark = pytest.mark.integration

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
def watchdog(sessions: Sessions, resources: Resources) -> Watchdog:
    return Watchdog(sessions, resources)


@pytest.fixture
async def job_id(engine: AsyncEngine, sessions: Sessions, settings: Settings, resources: Resources) -> UUID:
    """Return a job whose plan was sent."""
    async with sessions.begin() as session:
        job = await JobCreation(session, resources).create(an_identity(), a_new_job())
    await Dispatcher(engine, sessions, settings).dispatch()
    return job.id


async def pass_time(sessions: Sessions, minutes: float) -> None:
    """Move all timestamps into the past."""
    shift = {
        "jobs": (
            "created_at",
            "queued_at",
            "turn_at",
            "started_at",
            "transcribed_at",
            "work_dispatched_at",
            "progressed_at",
            "assembling_at",
        ),
        "chunks": ("dispatched_at",),
        "workers": ("last_seen_at",),
    }
    async with sessions.begin() as session:
        for table, columns in shift.items():
            moved = ", ".join(f"{column} = {column} - make_interval(secs => {60 * minutes})" for column in columns)
            await session.execute(text(f"UPDATE {table} SET {moved}"))


async def test_a_plan_without_progress_is_sent_again_with_growing_timeouts(
    sessions: Sessions, watchdog: Watchdog, job_id: UUID
) -> None:
    await watchdog.check()
    await pass_time(sessions, 9)
    await watchdog.check()
    assert len(await sent(sessions, PlanWork)) == 1
    await pass_time(sessions, 2)
    await watchdog.check()
    await watchdog.check()
    first, second = await sent(sessions, PlanWork)
    assert (second.key, second.source_key) == (first.key, first.source_key)
    assert second.event_id != first.event_id
    await pass_time(sessions, 15)
    await watchdog.check()
    assert len(await sent(sessions, PlanWork)) == 2, "the second time it waits twice as long"
    await pass_time(sessions, 6)
    await watchdog.check()
    assert len(await sent(sessions, PlanWork)) == 3


async def test_a_plan_with_progress_is_not_sent_again(
    sessions: Sessions, resources: Resources, watchdog: Watchdog, job_id: UUID
) -> None:
    for chunk in range(3):
        await pass_time(sessions, 8)
        async with sessions.begin() as session:
            await JobLifecycle(session, resources).chunk_planned(chunk_planned(job_id, chunk))
        await watchdog.check()
    assert len(await sent(sessions, PlanWork)) == 1


async def test_a_plan_with_a_missing_announcement_is_sent_again(
    sessions: Sessions, resources: Resources, watchdog: Watchdog, job_id: UUID
) -> None:
    async with sessions.begin() as session:
        lifecycle = JobLifecycle(session, resources)
        await lifecycle.chunk_planned(chunk_planned(job_id, 0))
        await lifecycle.chunk_transcribed(chunk_transcribed(job_id, 0))
        await lifecycle.audio_planned(audio_planned(job_id, 2))
    await pass_time(sessions, 11)
    await watchdog.check()
    assert len(await sent(sessions, PlanWork)) == 2


async def test_a_chunk_without_a_result_is_sent_again(
    engine: AsyncEngine,
    sessions: Sessions,
    settings: Settings,
    resources: Resources,
    watchdog: Watchdog,
    job_id: UUID,
) -> None:
    async with sessions.begin() as session:
        lifecycle = JobLifecycle(session, resources)
        await lifecycle.chunk_planned(chunk_planned(job_id, 0))
        await lifecycle.chunk_planned(chunk_planned(job_id, 1))
        await lifecycle.audio_planned(audio_planned(job_id, 2))
    await Dispatcher(engine, sessions, settings).dispatch()
    async with sessions.begin() as session:
        await JobLifecycle(session, resources).chunk_transcribed(chunk_transcribed(job_id, 0))
    await pass_time(sessions, 11)
    await watchdog.check()
    await watchdog.check()
    first, second, again = await sent(sessions, ChunkWork)
    assert [first.chunk, second.chunk, again.chunk] == [0, 1, 1]
    assert again.key == second.key
    assert again.options == second.options
    assert len(await sent(sessions, PlanWork)) == 1


async def test_all_work_in_flight_is_sent_again_after_a_broker_loss(
    engine: AsyncEngine,
    sessions: Sessions,
    settings: Settings,
    resources: Resources,
    watchdog: Watchdog,
    job_id: UUID,
) -> None:
    async with sessions.begin() as session:
        lifecycle = JobLifecycle(session, resources)
        await lifecycle.chunk_planned(chunk_planned(job_id, 0))
        await lifecycle.chunk_planned(chunk_planned(job_id, 1))
    await Dispatcher(engine, sessions, settings).dispatch()
    async with sessions.begin() as session:
        await JobLifecycle(session, resources).chunk_transcribed(chunk_transcribed(job_id, 0))
    async with sessions.begin() as session:
        await watchdog.repeat_everything(session)
    assert [work.chunk for work in await sent(sessions, ChunkWork)] == [0, 1, 1]
    assert len(await sent(sessions, PlanWork)) == 2


async def test_an_assembly_without_progress_is_sent_again(
    sessions: Sessions, resources: Resources, watchdog: Watchdog, job_id: UUID
) -> None:
    async with sessions.begin() as session:
        lifecycle = JobLifecycle(session, resources)
        await lifecycle.chunk_planned(chunk_planned(job_id, 0))
        await lifecycle.audio_planned(audio_planned(job_id, 1))
        await lifecycle.chunk_transcribed(chunk_transcribed(job_id, 0))
    await pass_time(sessions, 11)
    await watchdog.check()
    first, again = await sent(sessions, AssembleWork)
    assert again.result_keys == first.result_keys != []
    assert len(await sent(sessions, PlanWork)) == 1


async def test_a_job_past_its_deadline_fails(sessions: Sessions, watchdog: Watchdog, job_id: UUID) -> None:
    await pass_time(sessions, 25 * 60)
    await watchdog.check()
    job = await read_job(sessions, job_id)
    assert (job.state, job.reason_code) == ("failed", "timed_out")
    assert job.reason is not None
    assert "1 day" in job.reason
    assert [event.job_id for event in await sent(sessions, JobFailed)] == [job_id]
    assert len(await sent(sessions, PlanWork)) == 1


async def test_waiting_for_metadata_times_out(
    sessions: Sessions, resources: Resources, watchdog: Watchdog, job_id: UUID
) -> None:
    async with sessions.begin() as session:
        await JobLifecycle(session, resources).transcript_ready(transcript_ready(job_id))
    await watchdog.check()
    assert (await read_job(sessions, job_id)).state == "enriching"
    await pass_time(sessions, 6)
    await watchdog.check()
    job = await read_job(sessions, job_id)
    assert (job.state, job.reason_code) == ("completed", "enrichment_timed_out")
    (completed,) = await sent(sessions, JobCompleted)
    assert completed.note == job.reason
    # Late metadata removes the note.
    async with sessions.begin() as session:
        await JobLifecycle(session, resources).metadata_enriched(metadata_enriched(job_id))
    job = await read_job(sessions, job_id)
    assert (job.state, job.reason_code, job.reason) == ("completed", None, None)
    assert len(await sent(sessions, JobCompleted)) == 1


async def test_two_watchdogs_repeat_work_once(
    sessions: Sessions, resources: Resources, watchdog: Watchdog, job_id: UUID
) -> None:
    await pass_time(sessions, 11)
    async with sessions.begin() as session:
        await session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('jobs.watchdog/' || current_schema(), 0))")
        )
        await Watchdog(sessions, resources).check()
        assert len(await sent(sessions, PlanWork)) == 1
    await watchdog.check()
    assert len(await sent(sessions, PlanWork)) == 2


async def test_gauges_count_unfinished_jobs(sessions: Sessions, watchdog: Watchdog, job_id: UUID) -> None:
    await watchdog.measure()
    assert REGISTRY.get_sample_value("verbatim_jobs_unfinished", {"state": "processing"}) == 1
    assert REGISTRY.get_sample_value("verbatim_jobs_unfinished", {"state": "queued"}) == 0
