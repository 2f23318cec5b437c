"""Quotas of a user, also under concurrent requests."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from common.events import JobCreated
from common.testing.events import audio_planned

from .conftest import StartPlatform
from .jobs_harness import Person, Platform, a_new_job, sent

pytestmark = pytest.mark.integration

GIB = 1024**3


async def tried(person: Person, **choices: Any) -> httpx.Response:
    """Try to create a job."""
    size = choices.pop("size_bytes", 1234)
    return await person.post(a_new_job(**choices), size_bytes=size)


async def usage(person: Person) -> dict[str, Any]:
    answer = await person.http.get("/me/usage")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx.Response, limit: str) -> dict[str, Any]:
    """Return the problem of a refusal by this limit."""
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"], problem["limit"]) == (429, "quota_exceeded", limit), answer.text
    return problem


@pytest.fixture
async def idle(start: StartPlatform) -> Platform:
    """Start a service whose only slot is in use, so that jobs stay queued."""
    platform = await start(max_concurrent_jobs=1, quota_queued_jobs=3, quota_stored_bytes=GIB)
    first = platform.person()
    await first.reached(await first.create(), "processing")
    return platform


async def test_concurrent_creations_do_not_exceed_the_limit(idle: Platform) -> None:
    person, other = idle.person(), idle.person()
    answers = await asyncio.gather(*(tried(person) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 9
    problem = refused(next(answer for answer in answers if answer.is_error), "queued_jobs")
    assert (problem["used"], problem["allowed"], problem["resets_at"]) == (3, 3, None)
    assert (await usage(person))["queued_jobs"] == {"used": 3, "allowed": 3, "resets_at": None}
    assert (await tried(other)).status_code == 201, "quotas are per user"
    assert len(await sent(idle.sessions, JobCreated)) == 5, "what is refused leaves nothing behind"


async def test_a_repeated_request_is_answered_even_when_the_queue_is_full(idle: Platform) -> None:
    person = idle.person()
    jobs = [a_new_job() for _ in range(3)]
    first = [await person.post(new) for new in jobs]
    again = await person.post(jobs[0])
    assert (again.status_code, again.json()) == (201, first[0].json())


async def test_several_recordings_are_accepted_together_or_not_at_all(idle: Platform) -> None:
    person = idle.person()
    body = {"jobs": [a_new_job().model_dump(mode="json") for _ in range(4)]}
    refused(await person.http.post("/jobs", json=body), "queued_jobs")
    assert (await usage(person))["queued_jobs"]["used"] == 0


async def test_deleting_jobs_frees_stored_bytes(idle: Platform) -> None:
    person = idle.person()
    new = a_new_job()
    assert (await person.post(new, size_bytes=GIB - 1)).status_code == 201
    problem = refused(await tried(person, size_bytes=2), "stored_bytes")
    assert (problem["used"], problem["allowed"]) == (GIB - 1, GIB)
    assert (await tried(person, size_bytes=1)).status_code == 201
    await person.http.delete(f"/jobs/{new.job_id}")
    assert (await usage(person))["stored_bytes"]["used"] == 1
    assert (await tried(person, size_bytes=2)).status_code == 201


async def test_an_upload_can_be_refused_before_it_begins(idle: Platform) -> None:
    person = idle.person()
    assert (await person.http.get("/admissions", params={"size_bytes": GIB})).status_code == 204
    refused(await person.http.get("/admissions", params={"size_bytes": GIB + 1}), "stored_bytes")
    refused(await person.http.get("/admissions", params={"jobs": 4}), "queued_jobs")


async def test_hours_of_audio_are_counted_from_finished_plans_and_end_at_midnight(start: StartPlatform) -> None:
    platform = await start(quota_audio_hours_per_day=0.5)
    person = platform.person()
    job_id, other = await person.create(), await person.create()
    await platform.transcribe(person, job_id, *["said"] * 30)  # 30 minutes and 5 seconds
    problem = refused(await tried(person), "audio_hours_per_day")
    assert problem["used"] == pytest.approx(0.501, abs=0.001)
    assert problem["resets_at"].endswith(("T00:00:00Z", "T00:00:00+00:00"))
    refused(await person.http.post(f"/jobs/{job_id}/restart"), "audio_hours_per_day")
    await platform.transcribe(person, other, "what was accepted is done")
    async with platform.sessions.begin() as session:
        await session.execute(text("UPDATE audio_days SET day = day - 1"))
    assert (await tried(person)).status_code == 201


async def test_restarts_with_the_same_options_are_counted_once(start: StartPlatform) -> None:
    platform = await start()
    person = platform.person()
    job_id = await person.create()
    await platform.transcribe(person, job_id, "a", "b")
    first = (await usage(person))["audio_hours_per_day"]["used"]
    await platform.broker.publish(audio_planned(job_id, 2))
    await person.http.post(f"/jobs/{job_id}/restart")
    await platform.transcribe(person, job_id, "a", "b", attempt=2)
    assert (await usage(person))["audio_hours_per_day"]["used"] == first
    await person.http.post(f"/jobs/{job_id}/restart", json={"language": "de"})
    await platform.transcribe(person, job_id, "a", "b", attempt=3)
    assert (await usage(person))["audio_hours_per_day"]["used"] == pytest.approx(2 * first, abs=0.002)


async def test_administrators_are_exempt_by_default(start: StartPlatform) -> None:
    lenient = await start(quota_stored_bytes=1000)
    admin = lenient.person(role="admin")
    assert (await tried(admin, size_bytes=2000)).status_code == 201
    assert (await usage(admin))["stored_bytes"] == {"used": 2000, "allowed": None, "resets_at": None}
    strict = await start(quota_stored_bytes=1000, quotas_exempt_admins=False)
    refused(await tried(strict.person(role="admin", user_id=uuid4()), size_bytes=2000), "stored_bytes")


async def test_zero_means_unlimited(start: StartPlatform) -> None:
    platform = await start(quota_queued_jobs=0, quota_stored_bytes=0, quota_audio_hours_per_day=0)
    person = platform.person()
    assert (await tried(person, size_bytes=2**50)).status_code == 201
    assert [limit["allowed"] for limit in (await usage(person)).values()] == [None] * 3
