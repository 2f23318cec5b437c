"""Row 6: without metadata the transcript can be read; its enrichment waits, and is done when metadata is back."""

import signal

import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_transcript_is_there_and_its_metadata_follows(platform: Platform) -> None:
    await platform.fleet.kill("metadata", signal.SIGKILL)
    job_id = platform.submit(marked.brief())
    await platform.reach(job_id, lambda job: job["state"] == "enriching", "waits for its metadata")
    assert platform.user.download(job_id, "json") == platform.undisturbed["brief"]
    await platform.fleet.start("metadata")

    await assert_whole(platform)
    assert platform.user.http.get(f"/metadata/{job_id}").json()["words"] > 0


async def test_metadata_killed_while_it_enriches(platform: Platform) -> None:
    jobs = [platform.submit(marked.brief()) for _ in range(4)]
    await platform.reach(jobs[0], lambda job: job["state"] in ("enriching", "completed"), "is being enriched")
    await platform.fleet.kill("metadata", signal.SIGKILL, hold=False)

    await assert_whole(platform)
