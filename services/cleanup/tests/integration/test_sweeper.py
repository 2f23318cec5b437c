"""When the rules run, and on which replica."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from cleanup.repository.jobs import JobRepository
from cleanup.sweeps import sweeper as loop
from cleanup.sweeps.rules import Resources
from cleanup.sweeps.sweeper import Sweeper

pytestmark = pytest.mark.integration


def runs_of(*names: str) -> dict[str, float]:
    """How often the rules have run in this process."""
    count = "verbatim_cleanup_sweep_seconds_count"
    return {name: REGISTRY.get_sample_value(count, {"rule": name}) or 0.0 for name in names}


async def test_all_rules_run_once_an_interval_and_deletions_each_time(
    engine: AsyncEngine, resources: Resources
) -> None:
    sweeper = Sweeper(engine, resources)
    before = runs_of("expire_jobs", "find_orphans", "delete_tombstoned")
    assert await sweeper.sweep()
    assert await sweeper.sweep()
    after = runs_of("expire_jobs", "find_orphans", "delete_tombstoned")
    assert {name: after[name] - before[name] for name in after} == {
        "expire_jobs": 1,
        "find_orphans": 1,
        "delete_tombstoned": 3,
    }


async def test_deletions_by_users_run_when_disabled(engine: AsyncEngine, resources: Resources) -> None:
    off = Resources(
        resources.sessions, resources.store, resources.settings.model_copy(update={"cleanup_enabled": False})
    )
    before = runs_of("expire_jobs", "delete_tombstoned")
    await Sweeper(engine, off).sweep()
    after = runs_of("expire_jobs", "delete_tombstoned")
    assert (after["expire_jobs"] - before["expire_jobs"], after["delete_tombstoned"] - before["delete_tombstoned"]) == (
        0,
        1,
    )


async def test_only_one_replica_sweeps_at_a_time(
    engine: AsyncEngine, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping, done = asyncio.Event(), asyncio.Event()

    async def slow(_resources: Resources) -> int:
        sweeping.set()
        await done.wait()
        return 0

    monkeypatch.setattr(loop, "ON_REQUEST", (slow,))
    first = asyncio.create_task(Sweeper(engine, resources).sweep())
    await asyncio.wait_for(sweeping.wait(), 10)
    assert not await Sweeper(engine, resources).sweep()
    done.set()
    assert await first
    assert await Sweeper(engine, resources).sweep()


async def test_a_failed_rule_does_not_stop_the_others(
    engine: AsyncEngine, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    async def broken(_resources: Resources) -> int:
        raise ConnectionError("the store is unavailable")

    async def sound(_resources: Resources) -> int:
        ran.append("sound")
        return 0

    monkeypatch.setattr(loop, "ON_REQUEST", (broken, sound))
    assert await Sweeper(engine, resources).sweep()
    assert ran == ["sound"]
    assert REGISTRY.get_sample_value("verbatim_cleanup_sweep_failures_total", {"rule": "broken"}) == 1


async def test_a_deletion_notifies_the_sweeper(
    engine: AsyncEngine, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: asyncio.Queue[None] = asyncio.Queue()

    async def note(_resources: Resources) -> int:
        swept.put_nowait(None)
        return 0

    monkeypatch.setattr(loop, "ON_REQUEST", (note,))
    patient = Resources(
        resources.sessions, resources.store, resources.settings.model_copy(update={"cleanup_poll_seconds": 600.0})
    )
    task = asyncio.create_task(Sweeper(engine, patient).run())
    await asyncio.wait_for(swept.get(), 10)

    async def delete_until_swept() -> None:
        # The first notification may come before the sweeper listens.
        while swept.empty():
            async with resources.sessions.begin() as session:
                await JobRepository(session).put_deleted(uuid4(), uuid4(), datetime.now(UTC))
            await asyncio.sleep(0.1)

    await asyncio.wait_for(delete_until_swept(), 10)
    task.cancel()
    await asyncio.wait([task])
