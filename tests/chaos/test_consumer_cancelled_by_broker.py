"""Row 9: the broker takes queues away from their consumers: they come back by themselves, and nothing is lost."""

import pytest

from native import rabbitmq
from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_consumers_come_back_to_a_deleted_queue(platform: Platform) -> None:
    running = platform.submit(marked.lengthy())
    await platform.chunks_done(running, 1)
    for queue in ("work.plan", "work.chunk.base", "work.assemble", "jobs.events"):
        await rabbitmq.delete_queue(platform.fleet.state, queue)
    platform.submit(marked.brief())

    await assert_whole(platform)
