"""Row 6: cleanup killed while it deletes finishes later, and never touches what a job refers to."""

import signal

import pytest

from common.testing import eventually
from support import marked
from support.chaos import Platform
from support.invariants import KINDS, assert_whole

pytestmark = pytest.mark.chaos


async def test_deletion_that_was_broken_off_is_finished(platform: Platform) -> None:
    kept = platform.submit(marked.brief())
    gone = [platform.submit(marked.brief()) for _ in range(3)]
    for job_id in (kept, *gone):
        await platform.finished(job_id)
    await platform.fleet.kill("seaweedfs", signal.SIGSTOP, hold=False)
    for job_id in gone:
        del platform.accepted[job_id]
        platform.user.http.delete(f"/jobs/{job_id}").raise_for_status()

    async def knows() -> bool | None:
        async with platform.sql() as sql:
            query = "SELECT count(*) FROM cleanup.jobs WHERE state = 'deleted' AND job_id::text = ANY ($1)"
            return True if await sql.fetchval(query, gone) == len(gone) else None

    await eventually(knows, what="cleanup knows what to delete")
    await platform.fleet.kill("cleanup", signal.SIGKILL)
    await platform.fleet.kill("seaweedfs", signal.SIGCONT, hold=False)
    await platform.fleet.start("cleanup")

    async def emptied() -> bool | None:
        async with platform.bucket() as store:
            left = [item for job_id in gone for kind in KINDS async for item in store.list(f"{kind}/{job_id}/")]
        return None if left else True

    await eventually(emptied, what="the objects of the deleted jobs are gone")
    await assert_whole(platform)
