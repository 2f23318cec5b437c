"""Dispatch against a real database: slots, windows, fair turns, and several replicas at once."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common import context
from common.events import ChunkWork, JobStarted, PlanWork
from common.testing.events import chunk_planned, chunk_transcribed, worker_heartbeat
from jobs.loops.dispatch import Dispatcher
from jobs.repository import WorkerRepository
from jobs.scheduling.fairness import Priority
from jobs.service import JobCreation, JobLifecycle, Resources
from jobs.settings import Settings
from jobs.tables import Job

from .jobs_harness import a_new_job, an_identity, read_job, sent

pytestmark = pytest.mark.integration

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
def dispatcher(engine: AsyncEngine, sessions: Sessions, settings: Settings) -> Dispatcher:
    return Dispatcher(engine, sessions, settings)


async def queue(
    sessions: Sessions, resources: Resources, owner: UUID, count: int = 1, priority: Priority = "normal"
) -> list[UUID]:
    """Create jobs with increasing times."""
    created = []
    for _ in range(count):
        async with sessions.begin() as session:
            with context.bound(correlation_id="from-the-request"):
                created.append(
                    (await JobCreation(session, resources).create(an_identity(owner), a_new_job(priority=priority))).id
                )
    return created


async def plan(sessions: Sessions, resources: Resources, job_id: UUID, chunks: int, windows: int = 2) -> None:
    async with sessions.begin() as session:
        for chunk in range(chunks):
            planned = chunk_planned(job_id, chunk).model_copy(update={"windows": windows})
            await JobLifecycle(session, resources).chunk_planned(planned)


async def finish(sessions: Sessions, resources: Resources, work: ChunkWork) -> None:
    async with sessions.begin() as session:
        await JobLifecycle(session, resources).chunk_transcribed(chunk_transcribed(work.job_id, work.chunk))


async def heartbeat(sessions: Sessions, worker: str) -> None:
    async with sessions.begin() as session:
        await WorkerRepository(session).store(worker_heartbeat(worker))


async def test_owners_take_turns_for_slots(sessions: Sessions, resources: Resources, dispatcher: Dispatcher) -> None:
    ann, bob = uuid4(), uuid4()
    of_ann = await queue(sessions, resources, ann, 5)
    of_bob = await queue(sessions, resources, bob, 1)
    await dispatcher.dispatch()
    started = [event.job_id for event in await sent(sessions, JobStarted)]
    assert started == [of_ann[0], of_bob[0], of_ann[1], of_ann[2]]
    plans = await sent(sessions, PlanWork)
    assert [work.job_id for work in plans] == started
    assert {work.attempt for work in plans} == {1}
    assert {work.correlation_id for work in plans} == {"from-the-request"}


async def test_a_free_slot_goes_to_the_owner_with_the_longest_wait(
    engine: AsyncEngine, sessions: Sessions, resources: Resources, settings: Settings
) -> None:
    dispatcher = Dispatcher(engine, sessions, settings.model_copy(update={"max_concurrent_jobs": 1}))
    ann, bob = uuid4(), uuid4()
    of_ann = await queue(sessions, resources, ann, 3)
    of_bob = await queue(sessions, resources, bob, 2)
    for _ in range(5):
        await dispatcher.dispatch()
        await dispatcher.dispatch()  # no second slot
        async with sessions.begin() as session:
            await session.execute(update(Job).where(Job.state == "processing").values(state="failed"))
    started = [event.job_id for event in await sent(sessions, JobStarted)]
    assert started == [of_ann[0], of_bob[0], of_ann[1], of_bob[1], of_ann[2]]


async def test_a_long_job_never_exceeds_its_window(
    sessions: Sessions, resources: Resources, dispatcher: Dispatcher
) -> None:
    (long,) = await queue(sessions, resources, uuid4())
    await dispatcher.dispatch()
    await plan(sessions, resources, long, 20)
    await dispatcher.dispatch()
    await dispatcher.dispatch()
    out = await sent(sessions, ChunkWork)
    assert [work.chunk for work in out] == [0, 1, 2, 3]
    await finish(sessions, resources, out[1])
    await dispatcher.dispatch()
    assert [work.chunk for work in await sent(sessions, ChunkWork)] == [0, 1, 2, 3, 4]


async def test_chunks_of_two_owners_alternate_as_workers_become_free(
    sessions: Sessions, resources: Resources, dispatcher: Dispatcher
) -> None:
    """One worker leaves room for three half chunks: three jobs of one owner get as much as one of another."""
    ann, bob = uuid4(), uuid4()
    jobs = await queue(sessions, resources, ann, 3) + await queue(sessions, resources, bob, 1)
    await heartbeat(sessions, "w1")
    await dispatcher.dispatch()
    for job_id in jobs:
        await plan(sessions, resources, job_id, 20)
    for done in range(16):
        await dispatcher.dispatch()
        out = await sent(sessions, ChunkWork)
        assert len(out) == 3 + done
        await finish(sessions, resources, out[done])
    owner_of = {job_id: (await read_job(sessions, job_id)).owner_id for job_id in jobs}
    out = await sent(sessions, ChunkWork)
    shares = Counter(owner_of[work.job_id] for work in out[:16])
    assert set(shares) == {ann, bob}
    assert abs(shares[ann] - shares[bob]) <= 2, "what is sent together has no order"
    assert max(Counter(work.job_id for work in out[:16] if work.job_id != jobs[3]).values()) <= 3


async def test_more_workers_get_more_chunks(sessions: Sessions, resources: Resources, dispatcher: Dispatcher) -> None:
    jobs = await queue(sessions, resources, uuid4(), 4)
    await dispatcher.dispatch()
    for job_id in jobs:
        await plan(sessions, resources, job_id, 10)
    await heartbeat(sessions, "w1")
    await heartbeat(sessions, "w2")
    await dispatcher.dispatch()
    out = Counter(work.job_id for work in await sent(sessions, ChunkWork))
    assert sorted(out.values()) == [1, 1, 2, 2], "room for six half chunks"
    async with sessions.begin() as session:
        await session.execute(text("UPDATE workers SET last_seen_at = now() - interval '2 minutes'"))
    await dispatcher.dispatch()
    assert Counter(work.job_id for work in await sent(sessions, ChunkWork)) == dict.fromkeys(jobs, 4), (
        "without a live worker the window of each job is all that counts"
    )


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_a_short_job_behind_a_long_one_starts_within_one_chunk(
    workers: int, sessions: Sessions, resources: Resources, dispatcher: Dispatcher
) -> None:
    """The workers take chunks in the order of the queue; time is counted in windows."""
    (long,) = await queue(sessions, resources, uuid4())
    for number in range(workers):
        await heartbeat(sessions, f"w{number}")
    await dispatcher.dispatch()
    await plan(sessions, resources, long, 30, windows=4)
    free_at, clock, taken = [0] * workers, 0, 0
    in_hand: list[tuple[int, ChunkWork]] = []
    begun: dict[UUID, list[int]] = {}
    short: UUID | None = None
    arrived = 0
    while short is None or short not in begun:
        await dispatcher.dispatch()
        out = await sent(sessions, ChunkWork)
        for worker in range(workers):
            if free_at[worker] <= clock and taken < len(out):
                work, taken = out[taken], taken + 1
                begun.setdefault(work.job_id, []).append(clock)
                free_at[worker] = clock + (work.windows or 0)
                in_hand.append((free_at[worker], work))
        if short is None and clock >= 9:  # in the middle of everybody's chunk
            (short,) = await queue(sessions, resources, uuid4())
            await dispatcher.dispatch()
            await plan(sessions, resources, short, 2, windows=1)
            arrived = clock
            continue
        clock += 1
        for end, work in [each for each in in_hand if each[0] == clock]:
            in_hand.remove((end, work))
            await finish(sessions, resources, work)
        assert clock < 40
    assert begun[short][0] - arrived <= 4, "windows of a full chunk"
    assert len(begun[long]) >= 3 * workers, "no worker was idle"


async def test_replicas_dispatch_everything_once(
    engine: AsyncEngine, sessions: Sessions, resources: Resources, settings: Settings
) -> None:
    generous = settings.model_copy(update={"max_concurrent_jobs": 6, "chunks_in_flight_per_job": 3})
    replicas = [Dispatcher(engine, sessions, generous) for _ in range(3)]
    jobs = await queue(sessions, resources, uuid4(), 10)
    await asyncio.gather(*(replica.dispatch() for replica in replicas))
    plans = [work.job_id for work in await sent(sessions, PlanWork)]
    assert plans == jobs[:6]
    for job_id in plans:
        await plan(sessions, resources, job_id, 5)
    await asyncio.gather(*(replica.dispatch() for replica in replicas))
    out = Counter((work.job_id, work.chunk) for work in await sent(sessions, ChunkWork))
    assert out == {(job_id, chunk): 1 for job_id in plans for chunk in range(3)}


async def test_a_locked_chunk_is_left_for_the_next_round(
    sessions: Sessions, resources: Resources, dispatcher: Dispatcher
) -> None:
    (job_id,) = await queue(sessions, resources, uuid4())
    await dispatcher.dispatch()
    await plan(sessions, resources, job_id, 2)
    async with sessions.begin() as session:
        await JobLifecycle(session, resources).chunk_transcribed(chunk_transcribed(job_id, 0))
        async with asyncio.timeout(5):
            await dispatcher.dispatch()
    await dispatcher.dispatch()
    assert [work.chunk for work in await sent(sessions, ChunkWork)] == [1]


async def test_a_commit_wakes_the_dispatcher_at_once(
    sessions: Sessions, resources: Resources, dispatcher: Dispatcher
) -> None:
    running = asyncio.create_task(dispatcher.run())
    try:
        delays = []
        for _ in range(4):
            await asyncio.sleep(0.1)
            (job_id,) = await queue(sessions, resources, uuid4())
            begun = asyncio.get_running_loop().time()
            while (await read_job(sessions, job_id)).state == "queued":
                assert asyncio.get_running_loop().time() - begun < 5
                await asyncio.sleep(0.01)
            delays.append(asyncio.get_running_loop().time() - begun)
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert sorted(delays)[1] < 0.4, f"polling alone would take half a second on average: {delays}"


async def test_priority_orders_a_queue_and_loses_effect_with_time(
    engine: AsyncEngine, sessions: Sessions, resources: Resources, settings: Settings
) -> None:
    dispatcher = Dispatcher(engine, sessions, settings.model_copy(update={"max_concurrent_jobs": 1}))
    ann = uuid4()
    (low,) = await queue(sessions, resources, ann, priority="low")
    (normal,) = await queue(sessions, resources, ann)
    (high,) = await queue(sessions, resources, ann, priority="high")
    (old,) = await queue(sessions, resources, ann, priority="low")
    async with sessions.begin() as session:
        hour_ago = Job.turn_at - timedelta(minutes=61)
        await session.execute(update(Job).where(Job.id == old).values(turn_at=hour_ago))
    for _ in range(4):
        await dispatcher.dispatch()
        async with sessions.begin() as session:
            await session.execute(update(Job).where(Job.state == "processing").values(state="failed"))
    started = [event.job_id for event in await sent(sessions, JobStarted)]
    assert started == [old, high, normal, low]


async def test_high_priority_of_one_owner_takes_nothing_from_another(
    engine: AsyncEngine, sessions: Sessions, resources: Resources, settings: Settings
) -> None:
    dispatcher = Dispatcher(engine, sessions, settings.model_copy(update={"max_concurrent_jobs": 2}))
    ann, bob = uuid4(), uuid4()
    of_ann = await queue(sessions, resources, ann, 3, priority="high")
    of_bob = await queue(sessions, resources, bob, priority="low")
    await dispatcher.dispatch()
    started = {event.job_id for event in await sent(sessions, JobStarted)}
    assert started == {of_ann[0], of_bob[0]}
