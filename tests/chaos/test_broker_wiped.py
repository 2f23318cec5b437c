"""Row 8: the broker comes back with an empty volume: every unfinished job, and every fact, is told of once more."""

import shutil
import signal

import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_unfinished_jobs_are_announced_again_from_the_database(platform: Platform) -> None:
    running = platform.submit(marked.lengthy())
    await platform.chunks_done(running, 1)
    platform.submit(marked.brief())
    await _wipe(platform)

    await assert_whole(platform)
    await _assert_all_services_know_all_jobs(platform)


async def test_facts_that_nobody_had_heard_are_told_again(platform: Platform) -> None:
    for listener in ("metadata", "cleanup"):
        await platform.fleet.kill(listener, signal.SIGKILL)
    job_id = platform.submit(marked.brief())
    await platform.reach(job_id, lambda job: job["state"] == "enriching", "waits for its metadata")
    await _wipe(platform)
    for listener in ("metadata", "cleanup"):
        await platform.fleet.start(listener)

    await assert_whole(platform)
    assert platform.user.http.get(f"/metadata/{job_id}").json()["words"] > 0
    await _assert_all_services_know_all_jobs(platform)


async def _wipe(platform: Platform) -> None:
    await platform.fleet.kill("rabbitmq", signal.SIGKILL)
    shutil.rmtree(platform.fleet.state.path / "rabbitmq" / "mnesia")
    await platform.fleet.start("rabbitmq")


async def _assert_all_services_know_all_jobs(platform: Platform) -> None:
    async with platform.sql() as sql:
        known = {str(row["job_id"]): row["state"] for row in await sql.fetch("SELECT * FROM cleanup.jobs")}
    for job_id, expected in platform.accepted.items():
        assert known.get(job_id) == expected.state
