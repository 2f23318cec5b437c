"""Row 22: a job cancelled or deleted while it runs stops soon, and late writes of its workers change nothing."""

import signal

import pytest

from common.testing import eventually
from support import marked
from support.chaos import Platform
from support.invariants import KINDS, assert_whole, swept

pytestmark = pytest.mark.chaos


async def test_cancelled_job_stays_cancelled(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    await platform.chunks_done(job_id, 1)
    platform.user.http.post(f"/jobs/{job_id}/cancel").raise_for_status()
    platform.expect(job_id, "cancelled", "cancelled")

    await assert_whole(platform)


async def test_deleted_job_leaves_nothing_although_a_worker_wakes_up_later(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    await platform.chunks_done(job_id, 1)
    for name in platform.fleet.transcribers:
        await platform.fleet.kill(name, signal.SIGSTOP, hold=False)
    platform.user.http.delete(f"/jobs/{job_id}").raise_for_status()
    del platform.accepted[job_id]
    for name in platform.fleet.transcribers:
        await platform.fleet.kill(name, signal.SIGCONT, hold=False)

    await assert_whole(platform)

    async def nothing_left() -> bool | None:
        await swept(platform)
        async with platform.bucket() as store:
            left = [item for kind in KINDS async for item in store.list(f"{kind}/{job_id}/")]
        return None if left else True

    await eventually(nothing_left, what="the deleted job's objects are gone")
