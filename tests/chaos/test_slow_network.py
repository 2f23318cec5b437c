"""Links that are slow, hang for a while, or break again and again cost time only."""

import asyncio

import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_every_link_is_slow(platform: Platform) -> None:
    for proxy in (platform.proxies.broker, platform.proxies.store, platform.proxies.database):
        proxy.slow(0.02)
    platform.submit(marked.brief())
    platform.submit(marked.lengthy())
    for job_id in platform.accepted:
        await platform.finished(job_id)
    platform.proxies.mend()

    await assert_whole(platform)


async def test_link_to_the_broker_hangs_until_heartbeats_end_it(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    await platform.chunks_done(job_id, 1)
    platform.proxies.broker.hang()
    await asyncio.sleep(6)
    platform.proxies.broker.cut()
    platform.proxies.broker.mend()

    await assert_whole(platform)
