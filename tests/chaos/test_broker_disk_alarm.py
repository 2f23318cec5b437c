"""Row 10: the broker is short of disk and stops reading what is published: the API does not notice, jobs wait."""

import asyncio
import time

import pytest

from common.testing import eventually
from native import rabbitmq
from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_uploads_are_accepted_while_publishers_are_blocked(platform: Platform) -> None:
    await rabbitmq.control(platform.fleet.state, "set_disk_free_limit", "1000000GB")
    try:
        began = time.monotonic()
        job_id = platform.submit(marked.brief())
        assert time.monotonic() - began < 15, "the API waits for the broker"
        await eventually(
            lambda: platform.counted("jobs", "verbatim_outbox_oldest_unpublished_seconds"),
            lambda seen: seen > 3,
            what="the outbox's age tells that something is wrong",
        )
        assert (await platform.job(job_id))["state"] in ("queued", "processing")
    finally:
        await rabbitmq.control(platform.fleet.state, "set_disk_free_limit", "200MB")
    await asyncio.sleep(0)

    await assert_whole(platform)
