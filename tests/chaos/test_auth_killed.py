"""Row 5: without auth who is signed in works on, jobs run; only signing in has to wait, and is told so."""

import signal

import httpx
import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_only_signing_in_fails(platform: Platform) -> None:
    running = platform.submit(marked.lengthy())
    await platform.fleet.kill("auth", signal.SIGKILL)
    platform.submit(marked.brief())
    assert platform.user.http.get(f"/jobs/{running}").status_code == 200
    name, password = platform.fleet.credentials
    async with httpx.AsyncClient(base_url=platform.fleet.url("gateway"), timeout=30) as stranger:
        refused = await stranger.post("/token", data={"username": name, "password": password})
    assert refused.status_code == 503, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"]
    await platform.finished(running)
    await platform.fleet.start("auth")

    await assert_whole(platform)
