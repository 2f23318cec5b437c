"""Reports of sweeps: complete, by rule."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cleanup.repository.jobs import JobRepository
from cleanup.repository.reports import ReportRepository
from cleanup.sweeps.rules import Resources
from cleanup.sweeps.sweeper import Sweeper
from cleanup.tables import Report, State
from common.events import keys

pytestmark = pytest.mark.integration

OWNER = uuid4()


async def a_deleted_job(resources: Resources, objects: int = 5) -> UUID:
    """A job that its owner deleted, with objects of ten bytes."""
    job_id = uuid4()
    await resources.store.put(keys.source(job_id), b"0123456789")
    for chunk in range(objects - 1):
        await resources.store.put(keys.result(job_id, 1, chunk), b"0123456789")
    async with resources.sessions.begin() as session:
        await JobRepository(session).put_created(job_id, OWNER, datetime.now(UTC))
        await JobRepository(session).put_deleted(job_id, OWNER, datetime.now(UTC))
    return job_id


async def reports(resources: Resources) -> list[Report]:
    """All reports, oldest first."""
    async with resources.sessions() as session:
        return list(await session.scalars(select(Report).order_by(Report.id)))


async def test_a_sweep_reports_what_each_rule_deleted(engine: AsyncEngine, resources: Resources) -> None:
    await a_deleted_job(resources)
    await a_deleted_job(resources, objects=2)
    completed = uuid4()
    await resources.store.put(keys.chunk_audio(completed, 1, 0), b"x" * 100)
    async with resources.sessions.begin() as session:
        jobs = JobRepository(session)
        await jobs.put_ended(completed, OWNER, 1, State.COMPLETED, datetime.now(UTC) - timedelta(days=40))
    await Sweeper(engine, resources).sweep()
    (report,) = await reports(resources)
    assert report.freed == {
        "tombstoned": {"objects": 7, "bytes": 70, "jobs": 2},
        "chunk_audio": {"objects": 1, "bytes": 100, "jobs": 1},
        "expired": {"objects": 0, "bytes": 0, "jobs": 1},
    }
    assert (report.cause, report.failed) == ("schedule", [])
    assert report.started_at is not None
    assert report.finished_at is not None


async def test_deletions_between_sweeps_have_their_own_reports_and_idle_polls_have_none(
    engine: AsyncEngine, resources: Resources
) -> None:
    sweeper = Sweeper(engine, resources)
    await sweeper.sweep()
    await sweeper.sweep()
    await a_deleted_job(resources, objects=3)
    await sweeper.sweep()
    await sweeper.sweep()
    assert [(report.cause, report.freed.get("tombstoned")) for report in await reports(resources)] == [
        ("schedule", None),
        ("deletion", {"objects": 3, "bytes": 30, "jobs": 1}),
    ]


async def test_a_requested_sweep_runs_all_rules_even_when_disabled(engine: AsyncEngine, resources: Resources) -> None:
    off = Resources(
        resources.sessions, resources.store, resources.settings.model_copy(update={"cleanup_enabled": False})
    )
    sweeper = Sweeper(engine, off)
    await sweeper.sweep()
    assert await reports(resources) == []
    async with resources.sessions.begin() as session:
        first = await ReportRepository(session).request(OWNER)
    async with resources.sessions.begin() as session:
        assert (await ReportRepository(session).request(OWNER)).id == first.id, "a waiting request is reused"
    await sweeper.sweep()
    (report,) = await reports(resources)
    assert (report.cause, report.requested_by) == ("request", OWNER)
    assert report.finished_at is not None


async def test_a_sweep_of_a_dead_process_is_repeated_under_the_same_report(
    engine: AsyncEngine, resources: Resources
) -> None:
    async with resources.sessions.begin() as session:
        begun = await ReportRepository(session).begin(due=True)
    assert begun is not None
    await a_deleted_job(resources)
    await Sweeper(engine, resources).sweep()
    (report,) = await reports(resources)
    assert report.id == begun.id
    assert report.freed["tombstoned"]["objects"] == 5
