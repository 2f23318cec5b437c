"""Row 23: every service is restarted in turn (SIGTERM) while jobs run: no request fails for good, no attempt counts."""

import asyncio
import signal
from collections import Counter, defaultdict

import httpx
import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos

Answers = Counter[int | str]
# What else than an answer may come while a service restarts.
EXCUSED: dict[str, set[int | str]] = {"gateway": {"refused"}, "jobs": {503}}


class _Load:
    """Reads the list of jobs all the time, and counts what it is answered while which service restarts."""

    def __init__(self, platform: Platform) -> None:
        self.seen: defaultdict[str, Answers] = defaultdict(Counter)
        self.restarting = "nobody"
        self._platform = platform
        self._over = asyncio.Event()

    async def run(self) -> None:
        headers = {"Authorization": f"Bearer {self._platform.user.token}"}
        async with httpx.AsyncClient(base_url=self._platform.fleet.url("gateway"), headers=headers, timeout=30) as http:
            while not self._over.is_set():
                seen = self.seen[self.restarting]
                try:
                    seen[(await http.get("/jobs")).status_code] += 1
                except httpx.ConnectError:
                    seen["refused"] += 1  # nobody listens: nothing was sent, so it can be sent again
                except httpx.TransportError as error:
                    seen[repr(error)] += 1
                await asyncio.sleep(0.05)

    def end(self) -> None:
        self._over.set()


async def test_every_service_restarts_in_turn_under_load(platform: Platform) -> None:
    deliveries = await _counted_deliveries(platform)
    running = [platform.submit(marked.lengthy()) for _ in range(2)]
    load = _Load(platform)
    reading = asyncio.create_task(load.run())
    for name in platform.services:
        load.restarting = name
        await platform.fleet.kill(name, signal.SIGTERM, hold=False)
        await platform.fleet.wait_ready(name)
        running.append(await platform.submit_patiently(marked.brief()))
    load.end()
    await reading

    assert load.seen.keys() >= set(platform.services)
    for name, seen in load.seen.items():
        assert seen.keys() <= {200, *EXCUSED.get(name, ())}, f"while {name} restarted: {seen}"
    await assert_whole(platform)
    assert await _counted_deliveries(platform) == deliveries, "a piece of work was dead-lettered"


async def _counted_deliveries(platform: Platform) -> int:
    async with platform.sql() as sql:
        return int(await sql.fetchval("SELECT count(*) FROM jobs.dead_letters"))
