"""Row 7: while the broker is away uploads are accepted as ever; when it is back, everything goes on by itself."""

import asyncio
import signal

import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos

AWAY = 6  # seconds


async def test_jobs_accepted_without_a_broker_are_done_when_it_is_back(platform: Platform) -> None:
    running = platform.submit(marked.lengthy())
    await platform.chunks_done(running, 1)
    await platform.fleet.stop("rabbitmq")
    for _ in range(3):
        platform.submit(marked.brief())
    await asyncio.sleep(AWAY)
    assert platform.user.http.get(f"/jobs/{running}").status_code == 200
    await platform.fleet.start("rabbitmq")

    await assert_whole(platform)


async def test_broker_killed_while_jobs_run(platform: Platform) -> None:
    running = [platform.submit(marked.lengthy()), platform.submit(marked.brief())]
    await platform.chunks_done(running[0], 1)
    await platform.fleet.kill("rabbitmq", signal.SIGKILL, hold=False)

    await assert_whole(platform)
