"""The rules: each a function that does a bounded piece of work, and may be stopped and repeated anywhere.

A rule returns how many jobs (or uploads) it dealt with; as many as its limit means that more may be waiting.
None of them touches a job that is not finished.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common import context
from common.events import JobExpired
from common.messaging import outbox
from common.storage import ObjectStore, keys
from common.storage.parts import UnfinishedObject

from .freed import FreedRepository, freeing
from .metrics import EXPIRED_JOBS, UNCLAIMED_JOBS
from .repository import JobRepository, ResetRepository, SuspectRepository
from .settings import Settings
from .tables import State

log = structlog.get_logger(__name__)

LIMIT = 100  # jobs that one run of a rule deals with
# The rules as metrics and reports name them.
TOMBSTONED = "tombstoned"
CHUNK_AUDIO = "chunk_audio"
EXPIRED = "expired"
ORPHAN = "orphan"
UNFINISHED = "unfinished_upload"
GIVEN_UP = "given_up_upload"
_TELL_AGAIN = timedelta(days=1)  # an expired job that is still there is told of again
_LOOK_UP = 1000  # job ids asked for in one query


@dataclass(frozen=True, slots=True)
class Resources:
    """What a rule works with."""

    sessions: async_sessionmaker[AsyncSession]
    store: ObjectStore
    settings: Settings


async def delete_tombstoned(resources: Resources) -> int:
    """Delete every object of deleted jobs, and look again later until nothing turns up any more."""
    recheck = resources.settings.deletion_recheck
    async with resources.sessions.begin() as session:
        due = await JobRepository(session).due_tombstones(LIMIT)
    for job_id in due:
        with context.bound(job_id=job_id):
            # A resumable upload of a deleted account was to become a job of this id.
            prefixes = (*keys.prefixes(job_id), keys.resumable_prefix(job_id))
            found = [item for prefix in prefixes async for item in resources.store.list(prefix)]
            unfinished = await resources.store.parts.unfinished(keys.upload_prefix(job_id))
            await freeing(resources.sessions, resources.store, TOMBSTONED, job_id, found, unfinished)
            if found or unfinished:
                log.info("objects of a deleted job are gone", objects=len(found), unfinished=len(unfinished))
            async with resources.sessions.begin() as session:
                jobs = JobRepository(session)
                await FreedRepository(session).close(TOMBSTONED, job_id)
                # A worker that had not heard of the deletion may still write: only an empty second look ends it.
                if found or unfinished or not await jobs.mark_emptied(job_id, recheck):
                    await jobs.look_again(job_id, recheck)
    return len(due)


async def drop_chunk_audio(resources: Resources) -> int:
    """Delete the chunk audio of jobs completed a while ago: their source and their results stay."""
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
    """Tell of jobs that finished longer ago than the retention; the jobs service decides and deletes."""
    if not resources.settings.retention:
        return 0
    async with resources.sessions.begin() as session:
        expired = await JobRepository(session).take_expired(resources.settings.retention, _TELL_AGAIN, LIMIT)
        for job in expired:
            assert job.finished_at is not None
            with context.bound(job_id=job.job_id):
                event = JobExpired(job_id=job.job_id, owner_id=job.owner_id, finished_at=job.finished_at)
                outbox.add(session, event)
                await FreedRepository(session).add(EXPIRED, job.job_id)
                log.info("job is past its retention", finished_at=job.finished_at.isoformat())
    EXPIRED_JOBS.inc(len(expired))
    return len(expired)


async def find_orphans(resources: Resources) -> int:
    """Look through the store for what belongs to no job: reopen tombstones, and suspect uploads without a job."""
    uploaded = await _strangers(resources, keys.UPLOADS)
    # Somebody took these up as jobs. That no event told of them is then our loss, and no reason to delete them.
    taken_up = await _strangers(resources, keys.JOBS) | await _strangers(resources, keys.TRANSCRIPTS)
    UNCLAIMED_JOBS.set(len(taken_up))
    if taken_up:
        log.warning("jobs in the store that no event told of are kept", jobs=len(taken_up))
    # An upload that may still be resumed is none that never became a job.
    resumable = await _resumable(resources.store)
    async with resources.sessions.begin() as session:
        for page in _pages(uploaded - taken_up - resumable):
            await SuspectRepository(session).see(page)
    return 0


async def collect_orphans(resources: Resources) -> int:
    """Delete uploads that stayed without a job for as long as the orphan age: their request never ended well."""
    age = resources.settings.orphan_age
    async with resources.sessions.begin() as session:
        suspects = SuspectRepository(session)
        await suspects.clear_known()
        due = await suspects.seen_for(age, LIMIT)
        since = await suspects.catalogue_since()
    for job_id in due:
        uploads = [item async for item in resources.store.list(keys.upload_prefix(job_id))]
        # What is older than this catalogue may belong to a job that it never heard of.
        judged = [item for item in uploads if item.modified > since]
        if judged and not await _was_taken_up(resources.store, job_id):
            with context.bound(job_id=job_id):
                await freeing(resources.sessions, resources.store, ORPHAN, job_id, judged)
                log.info("an upload that never became a job is gone", objects=len(judged))
        async with resources.sessions.begin() as session:
            await FreedRepository(session).close(ORPHAN, job_id)
            await SuspectRepository(session).clear([job_id])
    return len(due)


async def abort_uploads(resources: Resources) -> int:
    """Take back the parts of uploads whose gateway died; resumable ones are the gateway's until they expire."""
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
            log.info("an unfinished upload is taken back")
    # Those of a process that was killed after the last of them, too.
    async with resources.sessions.begin() as session:
        await FreedRepository(session).close_all(UNFINISHED)
    return 0


async def give_up_uploads(resources: Resources) -> int:
    """Do cleanup's part of a reset: forget the resumable uploads that there were when it was ordered."""
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
                log.info("a resumable upload is given up", objects=len(found))
    async with resources.sessions.begin() as session:
        await ResetRepository(session).finish(order.id)
    # There may be another reset.
    return LIMIT


async def _strangers(resources: Resources, root: str) -> set[UUID]:
    """Jobs with objects under a root that no event told of; tombstones among the others are opened again."""
    found = [job_id async for name in resources.store.folders(root) if (job_id := job_of_folder(name)) is not None]
    strangers: set[UUID] = set()
    for page in _pages(found):
        async with resources.sessions.begin() as session:
            jobs = JobRepository(session)
            states = await jobs.states(page)
            await jobs.reopen([job_id for job_id, state in states.items() if state == State.DELETED])
        strangers.update(job_id for job_id in page if job_id not in states)
    return strangers


async def _was_taken_up(store: ObjectStore, job_id: UUID) -> bool:
    for prefix in (keys.job_prefix(job_id), keys.transcript_prefix(job_id), keys.resumable_prefix(job_id)):
        async for _ in store.list(prefix):
            return True
    return False


async def _resumable(store: ObjectStore) -> set[UUID]:
    """Uploads that the gateway keeps a record of."""
    return {job_id async for name in store.folders(keys.RESUMABLE) if (job_id := job_of_folder(name)) is not None}


def job_of_folder(folder: str) -> UUID | None:
    """The job that a folder belongs to; None for whatever somebody else keeps in the bucket."""
    try:
        job_id = UUID(folder)
    except ValueError:
        return None
    return job_id if str(job_id) == folder else None


def _pages(job_ids: Iterable[UUID]) -> Iterable[list[UUID]]:
    remaining = iter(job_ids)
    while page := list(itertools.islice(remaining, _LOOK_UP)):
        yield page
