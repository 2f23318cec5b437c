"""Row 11: while the database is away the API says so, with a problem document and 503; afterwards jobs go on."""

import asyncio
import signal

import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_database_killed_while_jobs_run(platform: Platform) -> None:
    running = platform.submit(marked.lengthy())
    await platform.chunks_done(running, 1)
    await platform.fleet.kill("postgres", signal.SIGKILL)
    for method, path in (("GET", "/jobs"), ("GET", f"/jobs/{running}"), ("POST", "/admin/cleanup/run")):
        answer = await asyncio.to_thread(platform.user.http.request, method, path)
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"]
    await asyncio.sleep(2)
    await platform.fleet.start("postgres")
    await platform.submit_patiently(marked.brief())

    await assert_whole(platform)


async def test_connections_to_the_database_break_again_and_again(platform: Platform) -> None:
    running = platform.submit(marked.lengthy())
    for _ in range(8):
        platform.proxies.database.interrupt()
        await asyncio.sleep(0.5)
    await platform.finished(running)

    await assert_whole(platform)
