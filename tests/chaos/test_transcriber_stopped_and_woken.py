"""Row 2: a worker that hangs (SIGSTOP) loses its work to another, and changes nothing when it wakes up (SIGCONT)."""

import signal
from uuid import UUID

import pytest

from common.testing import eventually
from common.testing.events import chunk_transcribed
from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos

STALE = "verbatim_stale_results_total"


async def _hung_with_a_chunk(platform: Platform) -> str:
    """Hang the first worker that has a chunk in its hands, and return its name."""

    async def busy() -> str | None:
        for name in platform.fleet.transcribers:
            if await platform.counted(name, "verbatim_work_in_hand", kind="work.chunk"):
                return name
        return None

    name = await eventually(busy, what="a worker has a chunk in its hands")
    await platform.fleet.kill(name, signal.SIGSTOP, hold=False)
    return name


async def test_others_finish_the_job_of_a_hanging_worker(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    hanging = await _hung_with_a_chunk(platform)
    await platform.finished(job_id)
    await platform.fleet.kill(hanging, signal.SIGCONT, hold=False)

    await assert_whole(platform)


async def test_results_of_an_attempt_that_is_over_are_refused(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    hanging = await _hung_with_a_chunk(platform)
    platform.user.http.post(f"/jobs/{job_id}/cancel").raise_for_status()
    platform.user.http.post(f"/jobs/{job_id}/restart", json={}).raise_for_status()
    platform.accepted[job_id].attempt = 2
    await platform.finished(job_id)
    await platform.fleet.kill(hanging, signal.SIGCONT, hold=False)

    # The worker may hear of the cancellation before it has a result. So one is made that surely comes too late.
    before = await platform.counted("jobs", STALE)
    await _say_late(platform, job_id)
    await eventually(
        lambda: platform.counted("jobs", STALE), lambda seen: seen > before, what="the late result is counted as stale"
    )
    await assert_whole(platform)


async def _say_late(platform: Platform, job_id: str) -> None:
    """Announce a result of the job's first attempt, as a worker does who knows nothing of the second."""
    async with platform.broker() as broker:
        await broker.publish(chunk_transcribed(UUID(job_id), 0, text="too late", result_key="jobs/late"))
