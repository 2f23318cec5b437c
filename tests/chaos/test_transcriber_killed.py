"""Row 1: SIGKILL of every worker in the middle of a job costs time, and no attempt."""

import signal

import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_killed_workers_cost_no_attempt_and_no_byte(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    await platform.chunks_done(job_id, 1)
    for name in platform.fleet.transcribers:
        await platform.fleet.kill(name, signal.SIGKILL, hold=False)

    await assert_whole(platform)


async def test_worker_killed_while_it_plans_is_replaced(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    await platform.reach(job_id, lambda job: job["stage"] == "planning", "is being planned")
    for name in platform.fleet.transcribers:
        await platform.fleet.kill(name, signal.SIGKILL, hold=False)

    await assert_whole(platform)
