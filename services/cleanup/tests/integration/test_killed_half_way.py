"""Every rule, killed between store and database: its repetition finishes the work and reports all of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from cleanup.repository.jobs import JobRepository
from cleanup.settings import Settings
from cleanup.sweeps.rules import Resources
from cleanup.sweeps.sweeper import Sweeper
from cleanup.tables import Freed, Outbox, Report, ResetOrder, State, Suspect
from common.events import JobExpired, keys
from common.testing.messages import assert_published

pytestmark = pytest.mark.integration

OWNER = uuid4()
LONG_AGO = timedelta(days=40)
TEN = b"0123456789"

# Runs one rule, and is killed after its first deletion in the store, or else before its first commit.
DOOMED = """
import asyncio, os, signal, sys
from sqlalchemy import event
from sqlalchemy.orm import Session
from cleanup.sweeps import rules
from cleanup.settings import Settings
from common import database
from common.storage import ObjectStore

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

class Doomed(ObjectStore):
    async def delete_many(self, keys=(), *, prefix=None):
        keys = list(keys)
        await super().delete_many(keys[:2])
        if keys:
            die()

async def main(rule, moment):
    settings = Settings()
    engine = database.create_engine(settings)
    store = Doomed(settings)
    abort = store.parts.abort
    async def abort_and_die(key, upload_id):
        await abort(key, upload_id)
        die()
    store.parts.abort = abort_and_die
    if moment == "commit":
        event.listen(Session, "before_commit", die)
    await getattr(rules, rule)(rules.Resources(database.sessions(engine), store, settings))

asyncio.run(main(*sys.argv[1:]))
"""


async def a_deleted_job(resources: Resources) -> UUID:
    """A job that its owner deleted."""
    job_id = uuid4()
    await _with_objects(resources, *(keys.result(job_id, 1, chunk) for chunk in range(5)))
    async with resources.sessions.begin() as session:
        await JobRepository(session).put_created(job_id, OWNER, datetime.now(UTC))
        await JobRepository(session).put_deleted(job_id, OWNER, datetime.now(UTC))
    return job_id


async def _with_objects(resources: Resources, *names: str) -> None:
    for name in names:
        await resources.store.put(name, TEN)


async def a_completed_job(resources: Resources) -> UUID:
    """A completed job past its retention, whose chunk audio is due for deletion."""
    job_id = uuid4()
    await _with_objects(resources, *(keys.chunk_audio(job_id, 1, chunk) for chunk in range(5)))
    async with resources.sessions.begin() as session:
        await JobRepository(session).put_ended(job_id, OWNER, 1, State.COMPLETED, datetime.now(UTC) - LONG_AGO)
    return job_id


async def an_orphan(resources: Resources) -> UUID:
    """An upload without a job, older than the orphan age."""
    job_id = uuid4()
    await _with_objects(resources, *(f"{keys.upload_prefix(job_id)}{name}" for name in "abcde"))
    async with resources.sessions.begin() as session:
        session.add(Suspect(job_id=job_id))
        await session.flush()
        await session.execute(update(Suspect).values(first_seen_at=func.now() - LONG_AGO))
    return job_id


async def broken_uploads(resources: Resources) -> UUID:
    """Uploads whose gateway died."""
    job_id = uuid4()
    for _ in range(5):
        await _begin(resources, keys.source(job_id))
    return job_id


async def a_reset(resources: Resources) -> UUID:
    """A reset that was ordered during a resumable upload."""
    job_id = uuid4()
    await _with_objects(resources, keys.resumable_record(job_id), *(keys.resumable_tail(job_id, n) for n in range(3)))
    await _begin(resources, keys.source(job_id))
    async with resources.sessions.begin() as session:
        order = ResetOrder(requested_at=datetime.now(UTC), requested_by=OWNER, users=False, uploads=[job_id, uuid4()])
        session.add(order)
    return job_id


async def _begin(resources: Resources, key: str) -> None:
    parts = resources.store.parts
    await parts.put(key, await parts.begin(key, "audio/mpeg"), 1, TEN)


async def left(resources: Resources) -> int:
    """The number of objects in the store."""
    complete = [item.key async for item in resources.store.list("")]
    return len(complete) + len(await resources.store.parts.unfinished())


async def killed(settings: Settings, rule: str, moment: str = "store") -> None:
    """Run the rule in a process that is killed before the rule ends."""
    environment = {
        name.upper(): str(getattr(value, "get_secret_value", lambda value=value: value)())
        for name, value in settings
        if value is not None and name != "log_dir"
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DOOMED, rule, moment, env={**os.environ, **environment}
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL


CASES: dict[str, tuple[Callable[[Resources], Awaitable[UUID]], str, int]] = {
    "delete_tombstoned": (a_deleted_job, "tombstoned", 50),
    "drop_chunk_audio": (a_completed_job, "chunk_audio", 50),
    "collect_orphans": (an_orphan, "orphan", 50),
    "abort_uploads": (broken_uploads, "unfinished_upload", 0),
    "give_up_uploads": (a_reset, "given_up_upload", 40),
}


@pytest.mark.parametrize("rule", CASES)
async def test_repeated_rule_deletes_the_rest_and_reports_everything(
    engine: AsyncEngine, resources: Resources, settings: Settings, rule: str
) -> None:
    prepare, name, size = CASES[rule]
    job_id = await prepare(resources)
    live = keys.source(uuid4())
    await resources.store.put(live, TEN)
    async with resources.sessions.begin() as session:
        await JobRepository(session).put_created(UUID(live.split("/")[1]), OWNER, datetime.now(UTC) - LONG_AGO)
    settings = settings.model_copy(update={"orphan_age_hours": 0.0, "cleanup_days": 0.0})
    resources = Resources(resources.sessions, resources.store, settings)
    before = await left(resources)
    await killed(settings, rule)
    assert 1 < await left(resources) < before, "the process must be killed half way"
    async with resources.sessions() as session:
        (note,) = await session.scalars(select(Freed))
    assert (note.rule, note.job_id, note.objects, note.bytes, note.done_at) == (name, job_id, 5, size, None)

    await Sweeper(engine, resources).sweep()
    assert [item.key async for item in resources.store.list("")] == [live], "the live job keeps its objects"
    assert await resources.store.parts.unfinished() == []
    async with resources.sessions() as session:
        (report,) = await session.scalars(select(Report))
    assert report.freed == {name: {"objects": 5, "bytes": size, "jobs": 1}}


async def test_an_expired_job_is_published_once_although_the_first_process_was_killed(
    engine: AsyncEngine, resources: Resources, settings: Settings
) -> None:
    job_id = await a_completed_job(resources)
    await killed(settings, "expire_jobs", "commit")
    await Sweeper(engine, resources).sweep()
    await Sweeper(engine, resources).sweep()
    await assert_published(resources.sessions, Outbox, JobExpired, job_id=job_id)
