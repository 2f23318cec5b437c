"""One user with ten thousand jobs in the queue, and another with one."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from common.testing import eventually

from .conftest import StartPlatform
from .jobs_harness import a_new_job

pytestmark = pytest.mark.integration

FLOOD = 10_000

_QUEUED = text("""
    INSERT INTO jobs (id, owner_id, file_name, content_type, size_bytes, sha256, source_key, options, correlation_id)
    SELECT gen_random_uuid(), :owner, 'flood.mp3', 'audio/mpeg', 1000, repeat('ab', 32), 'uploads/x/source',
           '{"model": "base", "task": "transcribe", "word_timestamps": false}', 'c'
    FROM generate_series(1, :jobs)
""")


async def test_ten_thousand_jobs_of_one_user_do_not_delay_another_user(start: StartPlatform) -> None:
    platform = await start(max_concurrent_jobs=2)
    flooder, other = platform.person(), platform.person()
    async with platform.sessions.begin() as session:
        await session.execute(_QUEUED, {"owner": flooder.id, "jobs": FLOOD})
    answer = await eventually(
        lambda: flooder.http.get("/jobs", params={"state": "processing"}),
        lambda answer: len(answer.json()["items"]) == 2,
    )
    first, second = (UUID(job["id"]) for job in answer.json()["items"])
    job_id = await other.create()
    detail = await other.job(job_id)
    assert (detail["state"], detail["queue_position"]) == ("queued", 1), (
        "next in line, whatever the others have waiting"
    )
    await platform.transcribe(flooder, first, "said")
    assert (await other.reached(job_id, "processing"))["attempt"] == 1
    await platform.transcribe(other, job_id, "said")
    assert (await flooder.job(second))["state"] == "processing"

    refused = await flooder.post(a_new_job(uuid4()))
    assert refused.status_code == 201, "two of the ten thousand have begun: two places are free"
    for _ in range(3):
        refused = await flooder.post(a_new_job(uuid4()))
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
