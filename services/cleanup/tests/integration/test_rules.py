"""What the rules delete, and what they keep."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from cleanup.repository.jobs import JobRepository
from cleanup.sweeps import rules
from cleanup.sweeps.rules import Resources
from cleanup.tables import Catalogue, KnownJob, Outbox, State, Suspect
from common.events import JobExpired, keys
from common.storage import ObjectStore
from common.testing.messages import assert_published
from native.testing import ObjectStoreServer

pytestmark = pytest.mark.integration

OWNER = uuid4()
LONG_AGO = timedelta(days=40)


async def a_job(resources: Resources, state: State, *, ended: timedelta = LONG_AGO, attempt: int = 1) -> UUID:
    """A job with its objects that ended so long ago."""
    job_id = uuid4()
    at = datetime.now(UTC) - ended
    async with resources.sessions.begin() as session:
        jobs = JobRepository(session)
        await jobs.put_created(job_id, OWNER, at)
        if state == State.DELETED:
            await jobs.put_deleted(job_id, OWNER, at)
        elif state != State.LIVE:
            await jobs.put_ended(job_id, OWNER, attempt, state, at)
    await put_objects(resources.store, job_id, attempt)
    return job_id


async def put_objects(store: ObjectStore, job_id: UUID, attempt: int = 1) -> None:
    """Store one object of every kind for a job."""
    for key in (
        keys.source(job_id),
        keys.plan(job_id, attempt),
        keys.chunk_audio(job_id, attempt, 0),
        keys.chunk_meta(job_id, attempt, 0),
        keys.result(job_id, attempt, 0),
        keys.transcript(job_id, attempt, "json"),
        keys.metadata(job_id),
    ):
        await store.put(key, b"x")


async def objects(store: ObjectStore, job_id: UUID) -> set[str]:
    """Keys of all objects of a job."""
    prefixes = (keys.upload_prefix(job_id), keys.job_prefix(job_id), keys.transcript_prefix(job_id))
    return {item.key for prefix in prefixes async for item in store.list(prefix)}


async def row_of(resources: Resources, job_id: UUID) -> KnownJob:
    """The job's row."""
    async with resources.sessions() as session:
        return (await session.scalars(select(KnownJob).where(KnownJob.job_id == job_id))).one()


async def change(resources: Resources, job_id: UUID, **values: Any) -> None:
    """Change columns of a job's row."""
    async with resources.sessions.begin() as session:
        await session.execute(update(KnownJob).where(KnownJob.job_id == job_id).values(values))


async def suspects(resources: Resources) -> set[UUID]:
    """The suspected uploads."""
    async with resources.sessions() as session:
        return set(await session.scalars(select(Suspect.job_id)))


def with_settings(resources: Resources, **values: Any) -> Resources:
    """The same resources with other settings."""
    return replace(resources, settings=resources.settings.model_copy(update=values))


async def run_all(resources: Resources) -> None:
    """Run every rule once without waiting times."""
    eager = with_settings(resources, orphan_age_hours=0.0, chunk_audio_hours=0.0, cleanup_days=1.0)
    for rule in (
        rules.delete_tombstoned,
        rules.expire_jobs,
        rules.drop_chunk_audio,
        rules.find_orphans,
        rules.collect_orphans,
        rules.abort_uploads,
    ):
        await rule(eager)


async def test_objects_of_a_live_job_are_never_deleted(resources: Resources) -> None:
    live = await a_job(resources, State.LIVE)
    before = await objects(resources.store, live)
    await run_all(resources)
    await run_all(resources)
    assert await objects(resources.store, live) == before


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED])
async def test_finished_jobs_keep_their_source_and_transcript(resources: Resources, state: State) -> None:
    job_id = await a_job(resources, state)
    await run_all(resources)
    left = await objects(resources.store, job_id)
    assert {keys.source(job_id), keys.transcript(job_id, 1, "json"), keys.result(job_id, 1, 0)} <= left


async def test_all_objects_of_a_deleted_job_are_deleted(resources: Resources) -> None:
    deleted = await a_job(resources, State.DELETED)
    other = await a_job(resources, State.COMPLETED)
    assert await rules.delete_tombstoned(resources) == 1
    assert await objects(resources.store, deleted) == set()
    assert len(await objects(resources.store, other)) == 7


async def test_a_resumable_upload_of_a_deleted_account_is_deleted_with_its_parts(resources: Resources) -> None:
    upload, other = uuid4(), uuid4()
    for job_id in (upload, other):
        await resources.store.put(keys.resumable_record(job_id), b"{}")
        begun = await resources.store.parts.begin(keys.source(job_id), "audio/wav")
        await resources.store.parts.put(keys.source(job_id), begun, 1, b"x" * 10)
    async with resources.sessions.begin() as session:
        await JobRepository(session).put_deleted(upload, OWNER, datetime.now(UTC))
    await rules.delete_tombstoned(resources)
    assert [item.key async for item in resources.store.list(keys.RESUMABLE)] == [keys.resumable_record(other)]
    assert [item.key for item in await resources.store.parts.unfinished()] == [keys.source(other)]


async def test_tombstone_is_repeated_until_no_object_is_found(resources: Resources) -> None:
    job_id = await a_job(resources, State.DELETED)
    await rules.delete_tombstoned(resources)
    assert await rules.delete_tombstoned(resources) == 0  # not yet due again

    late = keys.result(job_id, 1, 7)
    await resources.store.put(late, b"a late result")
    await change(resources, job_id, look_again_at=func.now(), deleted_at=func.now() - timedelta(hours=1))
    await rules.delete_tombstoned(resources)
    assert await objects(resources.store, job_id) == set()
    assert (await row_of(resources, job_id)).emptied_at is None

    await change(resources, job_id, look_again_at=func.now())
    await rules.delete_tombstoned(resources)
    assert (await row_of(resources, job_id)).emptied_at is not None


async def test_young_tombstone_is_not_closed(resources: Resources) -> None:
    job_id = await a_job(resources, State.DELETED)
    await rules.delete_tombstoned(resources)
    await change(resources, job_id, look_again_at=func.now())
    await rules.delete_tombstoned(resources)
    assert (await row_of(resources, job_id)).emptied_at is None


async def test_closed_tombstone_is_reopened_when_an_object_is_found(resources: Resources) -> None:
    job_id = await a_job(resources, State.DELETED)
    await change(resources, job_id, emptied_at=func.now())
    assert await rules.delete_tombstoned(resources) == 0
    await rules.find_orphans(resources)
    assert await rules.delete_tombstoned(resources) == 1
    assert await objects(resources.store, job_id) == set()


async def test_deletion_survives_a_store_outage(resources: Resources, s3_server: ObjectStoreServer) -> None:
    job_id = await a_job(resources, State.DELETED)
    await s3_server.kill()
    with pytest.raises(ConnectionError):
        await rules.delete_tombstoned(resources)
    await s3_server.start()
    assert await rules.delete_tombstoned(resources) == 1
    assert await objects(resources.store, job_id) == set()


async def test_only_chunk_audio_of_completed_jobs_is_deleted(resources: Resources) -> None:
    job_id = await a_job(resources, State.COMPLETED)
    before = await objects(resources.store, job_id)
    assert await rules.drop_chunk_audio(resources) == 1
    assert before - await objects(resources.store, job_id) == {keys.chunk_audio(job_id, 1, 0)}
    assert await rules.drop_chunk_audio(resources) == 0


async def test_chunk_audio_is_kept_for_the_grace_period_and_for_jobs_not_completed(resources: Resources) -> None:
    kept = [
        await a_job(resources, State.COMPLETED, ended=timedelta(hours=1)),
        await a_job(resources, State.FAILED),
        await a_job(resources, State.LIVE),
    ]
    assert await rules.drop_chunk_audio(resources) == 0
    assert all([keys.chunk_audio(job_id, 1, 0) in await objects(resources.store, job_id) for job_id in kept])


async def test_chunk_audio_of_a_later_attempt_is_kept(resources: Resources) -> None:
    job_id = await a_job(resources, State.COMPLETED, attempt=1)
    await put_objects(resources.store, job_id, attempt=2)
    await rules.drop_chunk_audio(resources)
    left = await objects(resources.store, job_id)
    assert keys.chunk_audio(job_id, 2, 0) in left
    assert keys.chunk_audio(job_id, 1, 0) not in left


async def test_expired_job_is_published_once_a_day(resources: Resources) -> None:
    expired = await a_job(resources, State.FAILED)
    await a_job(resources, State.COMPLETED, ended=timedelta(days=29))
    await a_job(resources, State.LIVE)
    assert await rules.expire_jobs(resources) == 1
    assert await rules.expire_jobs(resources) == 0
    await assert_published(resources.sessions, Outbox, JobExpired, job_id=expired)
    assert len(await objects(resources.store, expired)) == 7  # the jobs service decides

    await change(resources, expired, expired_at=func.now() - timedelta(days=2))
    assert await rules.expire_jobs(resources) == 1


async def test_retention_of_zero_days_keeps_jobs_for_ever(resources: Resources) -> None:
    await a_job(resources, State.COMPLETED)
    assert await rules.expire_jobs(with_settings(resources, cleanup_days=0.0)) == 0


async def test_one_run_of_a_rule_stops_at_its_limit(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "LIMIT", 2)
    for _ in range(3):
        await a_job(resources, State.DELETED)
    assert [await rules.delete_tombstoned(resources) for _ in range(3)] == [2, 1, 0]


async def test_upload_without_a_job_is_deleted_after_the_orphan_age(resources: Resources) -> None:
    orphan = uuid4()
    await resources.store.put(keys.source(orphan), b"x")
    await rules.find_orphans(resources)
    assert await suspects(resources) == {orphan}
    assert await rules.collect_orphans(resources) == 0  # not for a day

    async with resources.sessions.begin() as session:
        await session.execute(update(Suspect).values(first_seen_at=func.now() - timedelta(hours=25)))
    assert await rules.collect_orphans(resources) == 1
    assert await objects(resources.store, orphan) == set()
    assert await suspects(resources) == set()


async def test_upload_is_kept_when_the_event_of_its_job_arrives(resources: Resources) -> None:
    job_id = uuid4()
    await resources.store.put(keys.source(job_id), b"x")
    await rules.find_orphans(resources)
    async with resources.sessions.begin() as session:
        await JobRepository(session).put_created(job_id, OWNER, datetime.now(UTC))
    assert await rules.collect_orphans(with_settings(resources, orphan_age_hours=0.0)) == 0
    assert await objects(resources.store, job_id) == {keys.source(job_id)}


async def test_accepted_job_is_kept_without_an_event(resources: Resources) -> None:
    job_id = uuid4()
    await put_objects(resources.store, job_id)
    eager = with_settings(resources, orphan_age_hours=0.0)
    await rules.find_orphans(eager)
    assert await suspects(resources) == set()
    # Accepted between listing and deletion: kept too.
    late = uuid4()
    await resources.store.put(keys.source(late), b"x")
    await rules.find_orphans(eager)
    await resources.store.put(keys.plan(late, 1), b"x")
    await rules.collect_orphans(eager)
    assert len(await objects(resources.store, job_id)) == 7
    assert len(await objects(resources.store, late)) == 2


async def test_upload_older_than_the_catalogue_is_kept(resources: Resources) -> None:
    orphan = uuid4()
    await resources.store.put(keys.source(orphan), b"x")
    async with resources.sessions.begin() as session:
        await session.execute(update(Catalogue).values(since=func.now() + timedelta(hours=1)))
    await run_all(resources)
    assert await objects(resources.store, orphan) == {keys.source(orphan)}


async def test_foreign_objects_in_the_bucket_are_kept(resources: Resources) -> None:
    foreign = ["uploads/readme.txt", "uploads/not-a-job/source", f"uploads/{str(uuid4()).upper()}/source", "backup/x"]
    for key in foreign:
        await resources.store.put(key, b"x")
    await run_all(resources)
    await run_all(resources)
    assert [item.key async for item in resources.store.list("")] == sorted(foreign)


async def test_unfinished_uploads_are_aborted(resources: Resources) -> None:
    parts, broken, resumed = resources.store.parts, uuid4(), uuid4()
    for key in (keys.source(broken), keys.source(resumed), "backup/foreign"):
        await parts.put(key, await parts.begin(key, "audio/mpeg"), 1, b"x")
    await resources.store.put(keys.resumable_record(resumed), b"{}")
    await rules.abort_uploads(resources)
    assert len(await parts.unfinished()) == 3, "none is old enough"
    await rules.abort_uploads(with_settings(resources, orphan_age_hours=0.0))
    assert {item.key for item in await parts.unfinished()} == {keys.source(resumed), "backup/foreign"}


async def test_a_resumable_upload_is_no_orphan(resources: Resources) -> None:
    complete = uuid4()
    await resources.store.put(keys.source(complete), b"complete, jobs service unavailable")
    await rules.find_orphans(resources)
    await resources.store.put(keys.resumable_record(complete), b"{}")
    await run_all(resources)
    await run_all(resources)
    assert await objects(resources.store, complete) == {keys.source(complete)}
