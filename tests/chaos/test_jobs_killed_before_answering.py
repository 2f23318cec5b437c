"""Row 3: killed after the commit and before the answer, the same request gets the same job; there is no second one."""

import asyncio
import signal
from typing import Any

import httpx
import pytest

from common.testing import eventually
from support import marked
from support.chaos import RETRYABLE, Expected, Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


def _upload(platform: Platform, key: str) -> httpx.Response:
    recording = marked.brief()
    return platform.user.http.post(
        "/jobs", files={"file": ("once.flac", recording.content)}, headers={"Idempotency-Key": key}
    )


async def _number_of_jobs(platform: Platform) -> int:
    async with platform.sql() as sql:
        return int(await sql.fetchval("SELECT count(*) FROM jobs.jobs"))


async def _committed_unanswered(platform: Platform, key: str) -> "asyncio.Task[httpx.Response]":
    """Upload a recording so that its job is committed and nobody hears of it."""
    before = await _number_of_jobs(platform)
    # The claim of the key must be answered, so the answers are swallowed once the bytes are on their way.
    sql_waits = platform.sql()
    async with sql_waits as sql:
        await sql.execute("BEGIN; LOCK TABLE jobs.outbox IN SHARE MODE")
        request = asyncio.create_task(asyncio.to_thread(_upload, platform, key))

        async def waits() -> bool | None:
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return True if await sql.fetchval(query) else None

        await eventually(waits, what="the creation of the job waits for its outbox row")
        platform.proxies.jobs.swallow_answers()
        await sql.execute("COMMIT")
    await eventually(lambda: _number_of_jobs(platform), lambda seen: seen > before, what="the job is committed")
    return request


async def _same_job(platform: Platform, key: str) -> dict[str, Any]:
    async def again() -> dict[str, Any] | None:
        try:
            answer = await asyncio.to_thread(_upload, platform, key)
        except httpx.TransportError:
            return None
        if answer.status_code in (*RETRYABLE, 409):
            return None
        assert answer.status_code == 201, answer.text
        job: dict[str, Any] = answer.json()
        return job

    return await eventually(again, what="the upload is answered")


@pytest.mark.parametrize("victim", ["jobs", "gateway"])
async def test_repeated_upload_gets_the_same_job(platform: Platform, victim: str) -> None:
    before = await _number_of_jobs(platform)
    request = await _committed_unanswered(platform, f"killed-{victim}")
    await platform.fleet.kill(victim, signal.SIGKILL)
    platform.proxies.mend()
    await asyncio.wait([request])
    await platform.fleet.start(victim)

    job = await _same_job(platform, f"killed-{victim}")
    platform.accepted[job["id"]] = Expected("completed", platform.undisturbed["brief"])
    assert await _number_of_jobs(platform) == before + 1
    await assert_whole(platform)
