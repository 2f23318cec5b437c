"""The rules. Each function does a bounded amount of work and may be stopped and repeated at any point.

A rule returns how many jobs or uploads it processed; its limit means that more may be due.
No rule deletes objects of a job that is not finished.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cleanup.files.placement import job_of_folder
from cleanup.metrics import EXPIRED_JOBS, UNCLAIMED_JOBS
from cleanup.repository.jobs import JobRepository, ResetRepository, SuspectRepository
from cleanup.repository.reports import FreedRepository
from cleanup.settings import Settings
from cleanup.tables import State
from common import context
from common.events import JobExpired, keys
from common.messaging import outbox
from common.storage import ObjectStore
from common.storage.parts import UnfinishedObject

from .freeing import freeing

log = structlog.get_logger(__name__)

LIMIT = 100  # jobs that one run of a rule processes
# Names of the rules in metrics and reports.
TOMBSTONED = "tombstoned"
CHUNK_AUDIO = "chunk_audio"
EXPIRED = "expired"
ORPHAN = "orphan"
UNFINISHED = "unfinished_upload"
GIVEN_UP = "given_up_upload"
_PUBLISH_AGAIN = timedelta(days=1)  # an expired job that still exists is published again
_LOOK_UP = 1000  # job ids in one query


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of the rules."""

    sessions: async_sessionmaker[AsyncSession]
    store: ObjectStore
    settings: Settings


async def delete_tombstoned(resources: Resources) -> int:
    """Delete every object of deleted jobs, and repeat later until none is found."""
    recheck = resources.settings.deletion_recheck
    async with resources.sessions.begin() as session:
        due = await JobRepository(session).due_tombstones(LIMIT)
    for job_id in due:
        with context.bound(job_id=job_id):
            # Includes a resumable upload of a deleted account: its job would have this id.
            prefixes = (*keys.prefixes(job_id), keys.resumable_prefix(job_id))
            found = [item for prefix in prefixes async for item in resources.store.list(prefix)]
            unfinished = await resources.store.parts.unfinished(keys.upload_prefix(job_id))
            await freeing(resources.sessions, resources.store, TOMBSTONED, job_id, found, unfinished)
            if found or unfinished:
                log.info("objects of a deleted job deleted", objects=len(found), unfinished=len(unfinished))
            async with resources.sessions.begin() as session:
                jobs = JobRepository(session)
                await FreedRepository(session).close(TOMBSTONED, job_id)
                # A worker may still write until it receives the deletion: close the tombstone only when none is left.
                if found or unfinished or not await jobs.mark_emptied(job_id, recheck):
                    await jobs.look_again(job_id, recheck)
    return len(due)


async def drop_chunk_audio(resources: Resources) -> int:
    """Delete the chunk audio of completed jobs after the grace period; source and results are kept."""
    async with resources.sessions.begin() as session:
        due = await JobRepository(session).with_chunk_audio(resources.settings.chunk_audio_grace, LIMIT)
    for job_id, attempt in due:
        audio = [
            item
            async for item in resources.store.list(keys.job_prefix(job_id))
            if (of := keys.chunk_audio_attempt(item.key)) is not None and of <= attempt
        ]
        await freeing(resources.sessions, resources.store, CHUNK_AUDIO, job_id, audio)
        async with resources.sessions.begin() as session:
            await FreedRepository(session).close(CHUNK_AUDIO, job_id)
            await JobRepository(session).mark_chunk_audio_dropped(job_id, attempt)
    return len(due)


async def expire_jobs(resources: Resources) -> int:
    """Publish jobs that finished longer ago than the retention; the jobs service decides and deletes."""
    if not resources.settings.retention:
        return 0
    async with resources.sessions.begin() as session:
        expired = await JobRepository(session).take_expired(resources.settings.retention, _PUBLISH_AGAIN, LIMIT)
        for job in expired:
            assert job.finished_at is not None
            with context.bound(job_id=job.job_id):
                event = JobExpired(job_id=job.job_id, owner_id=job.owner_id, finished_at=job.finished_at)
                outbox.add(session, event)
                await FreedRepository(session).add(EXPIRED, job.job_id)
                log.info("job past its retention", finished_at=job.finished_at.isoformat())
    EXPIRED_JOBS.inc(len(expired))
    return len(expired)


async def find_orphans(resources: Resources) -> int:
    """Find objects without a job: reopen tombstones, and store suspicions about uploads without a job."""
    uploaded = await _unknown_jobs(resources, keys.UPLOADS)
    # These were accepted as jobs. Their events were lost, which is no reason to delete accepted data.
    accepted = await _unknown_jobs(resources, keys.JOBS) | await _unknown_jobs(resources, keys.TRANSCRIPTS)
    UNCLAIMED_JOBS.set(len(accepted))
    if accepted:
        log.warning("jobs without events kept", jobs=len(accepted))
    # An upload that may be resumed can still become a job.
    resumable = await _resumable(resources.store)
    async with resources.sessions.begin() as session:
        for page in _pages(uploaded - accepted - resumable):
            await SuspectRepository(session).see(page)
    return 0


async def collect_orphans(resources: Resources) -> int:
    """Delete uploads that were without a job for the orphan age: their request failed."""
    age = resources.settings.orphan_age
    async with resources.sessions.begin() as session:
        suspects = SuspectRepository(session)
        await suspects.clear_known()
        due = await suspects.seen_for(age, LIMIT)
        since = await suspects.catalogue_since()
    for job_id in due:
        uploads = [item async for item in resources.store.list(keys.upload_prefix(job_id))]
        # Objects older than this catalogue may belong to a job whose events it did not receive.
        judged = [item for item in uploads if item.modified > since]
        if judged and not await _was_accepted(resources.store, job_id):
            with context.bound(job_id=job_id):
                await freeing(resources.sessions, resources.store, ORPHAN, job_id, judged)
                log.info("orphaned upload deleted", objects=len(judged))
        async with resources.sessions.begin() as session:
            await FreedRepository(session).close(ORPHAN, job_id)
            await SuspectRepository(session).clear([job_id])
    return len(due)


async def abort_uploads(resources: Resources) -> int:
    """Abort unfinished uploads whose gateway died; resumable ones belong to the gateway until they expire."""
    begun_before = datetime.now(UTC) - resources.settings.orphan_age
    resumable = await _resumable(resources.store)
    abandoned: dict[UUID, list[UnfinishedObject]] = {}
    for item in await resources.store.parts.unfinished(keys.UPLOADS):
        job_id = job_of_folder(item.key.removeprefix(keys.UPLOADS).partition("/")[0])
        if job_id is not None and job_id not in resumable and (item.begun or begun_before) <= begun_before:
            abandoned.setdefault(job_id, []).append(item)
    for job_id, items in abandoned.items():
        with context.bound(job_id=job_id):
            await freeing(resources.sessions, resources.store, UNFINISHED, job_id, [], items)
            log.info("unfinished upload aborted")
    # Also close the records of a process that was killed after its last upload.
    async with resources.sessions.begin() as session:
        await FreedRepository(session).close_all(UNFINISHED)
    return 0


async def give_up_uploads(resources: Resources) -> int:
    """Abort the resumable uploads that existed when a reset was ordered."""
    async with resources.sessions.begin() as session:
        order = await ResetRepository(session).first_unfinished()
    if order is None:
        return 0
    for job_id in order.uploads:
        with context.bound(job_id=job_id):
            found = [item async for item in resources.store.list(keys.resumable_prefix(job_id))]
            unfinished = await resources.store.parts.unfinished(keys.upload_prefix(job_id))
            await freeing(resources.sessions, resources.store, GIVEN_UP, job_id, found, unfinished)
            async with resources.sessions.begin() as session:
                await FreedRepository(session).close(GIVEN_UP, job_id)
            if found:
                log.info("resumable upload aborted", objects=len(found))
    async with resources.sessions.begin() as session:
        await ResetRepository(session).finish(order.id)
    # There may be another reset: run the rule again.
    return LIMIT


async def _unknown_jobs(resources: Resources, root: str) -> set[UUID]:
    """Jobs with objects under a root but without an event; reopens the tombstones among the other jobs."""
    found = [job_id async for name in resources.store.folders(root) if (job_id := job_of_folder(name)) is not None]
    unknown: set[UUID] = set()
    for page in _pages(found):
        async with resources.sessions.begin() as session:
            jobs = JobRepository(session)
            states = await jobs.states(page)
            await jobs.reopen([job_id for job_id, state in states.items() if state == State.DELETED])
        unknown.update(job_id for job_id in page if job_id not in states)
    return unknown


async def _was_accepted(store: ObjectStore, job_id: UUID) -> bool:
    for prefix in (keys.job_prefix(job_id), keys.transcript_prefix(job_id), keys.resumable_prefix(job_id)):
        async for _ in store.list(prefix):
            return True
    return False


async def _resumable(store: ObjectStore) -> set[UUID]:
    """Uploads that have a record of the gateway."""
    return {job_id async for name in store.folders(keys.RESUMABLE) if (job_id := job_of_folder(name)) is not None}


def _pages(job_ids: Iterable[UUID]) -> Iterable[list[UUID]]:
    remaining = iter(job_ids)
    while page := list(itertools.islice(remaining, _LOOK_UP)):
        yield page
