"""Verifications: chosen chunks, outcomes, and costs of a job."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from common.events import AssembleWork, ChunkVerified, VerifyWork
from common.testing import eventually
from common.testing.events import audio_planned, chunk_planned, chunk_transcribed
from jobs.service import Resources, Verifications
from jobs.service.verification import outcome_of

from .conftest import StartPlatform
from .jobs_harness import Person, Platform, a_new_job, sent

pytestmark = pytest.mark.integration

GOOD, BAD = "cd" * 32, "00" * 32


async def completed(platform: Platform, person: Person, chunks: int = 3) -> UUID:
    job_id = await person.create(a_new_job())
    await platform.transcribe(person, job_id, *(f"chunk {number}" for number in range(chunks)))
    return job_id


def answer(work: VerifyWork, stored: str | None = GOOD, decoded: str | None = GOOD) -> ChunkVerified:
    return ChunkVerified(
        job_id=work.job_id,
        attempt=work.attempt,
        chunk=work.chunk,
        verification=work.verification,
        stored_sha256=stored,
        decoded_sha256=decoded,
        worker="w2",
        engine={"name": "canned"},
    )


async def ended(person: Person, job_id: UUID, verification: str) -> dict[str, Any]:
    path = f"/jobs/{job_id}/verifications/{verification}"
    answer = await eventually(lambda: person.http.get(path), lambda answer: answer.json()["finished_at"])
    view: dict[str, Any] = answer.json()
    return view


async def test_the_same_seed_draws_the_same_chunks_and_every_answer_has_an_outcome(platform: Platform) -> None:
    person = platform.person()
    job_id = await completed(platform, person, 5)
    drawn = []
    for answers in ([(GOOD, GOOD)] * 3, [(GOOD, GOOD), (BAD, GOOD), (GOOD, BAD)]):
        reply = await person.http.post(f"/jobs/{job_id}/verify", json={"chunks": 3, "seed": 7})
        assert reply.status_code == 202
        begun = reply.json()
        assert (begun["verified"], {check["outcome"] for check in begun["checks"]}) == (None, {"waiting"})
        again = await person.http.post(f"/jobs/{job_id}/verify")
        assert (again.status_code, again.json()["code"]) == (409, "verification_running")
        work = [each for each in await sent(platform.sessions, VerifyWork) if str(each.verification) == begun["id"]]
        drawn.append([each.chunk for each in work])
        for each, (stored, decoded) in zip(work, answers, strict=True):
            await platform.broker.publish(answer(each, stored, decoded))
        view = await ended(person, job_id, begun["id"])
        assert view["verified"] is (answers == [(GOOD, GOOD)] * 3)
    assert drawn[0] == drawn[1]
    assert [check["outcome"] for check in view["checks"]] == ["matches", "altered", "differs"]
    listed = (await person.http.get(f"/jobs/{job_id}/verifications")).json()["items"]
    assert [each["verified"] for each in listed] == [False, True]


async def test_only_completed_jobs_are_verified_and_only_for_their_owner(platform: Platform) -> None:
    person, stranger = platform.person(), platform.person()
    running = await person.create()
    await person.reached(running, "processing")
    reply = await person.http.post(f"/jobs/{running}/verify")
    assert (reply.status_code, reply.json()["code"]) == (409, "job_not_completed")
    job_id = await completed(platform, person, 1)
    begun = (await person.http.post(f"/jobs/{job_id}/verify", json={"chunks": 20})).json()
    assert len(begun["checks"]) == 1
    for method, path in (("POST", "verify"), ("GET", "verifications"), ("GET", f"verifications/{begun['id']}")):
        reply = await stranger.http.request(method, f"/jobs/{job_id}/{path}")
        assert (reply.status_code, reply.json()["code"]) == (404, "job_not_found")
    reply = await person.http.get(f"/jobs/{job_id}/verifications/{uuid4()}")
    assert (reply.status_code, reply.json()["code"]) == (404, "verification_not_found")
    for bad in ({"chunks": 0}, {"chunks": 21}, {"seed": -1}, {"all": True}):
        assert (await person.http.post(f"/jobs/{job_id}/verify", json=bad)).status_code == 422


async def test_a_verification_ends_without_an_answer(platform: Platform) -> None:
    person = platform.person()
    job_id = await completed(platform, person, 2)
    begun = (await person.http.post(f"/jobs/{job_id}/verify", json={"chunks": 2})).json()
    first, second = [each for each in await sent(platform.sessions, VerifyWork) if each.job_id == job_id]
    await platform.broker.publish(answer(first))
    resources = Resources(platform.settings, None)  # type: ignore[arg-type]  # verifying cancels nothing
    async with platform.sessions.begin() as session:
        await Verifications(session, resources).chunk_failed(second)
    view = await ended(person, job_id, begun["id"])
    assert (view["verified"], sorted(check["outcome"] for check in view["checks"])) == (
        False,
        ["matches", "not_checked"],
    )

    begun = (await person.http.post(f"/jobs/{job_id}/verify", json={"chunks": 1})).json()
    async with platform.sessions.begin() as session:
        await session.execute(text("UPDATE verifications SET created_at = now() - interval '7 hours'"))
        await Verifications(session, resources).abort_overdue()
    assert (await ended(person, job_id, begun["id"]))["checks"][0]["outcome"] == "not_checked"


def test_outcomes_of_three_hashes() -> None:
    assert outcome_of(GOOD, GOOD, GOOD) == "matches"
    assert outcome_of(GOOD, GOOD, BAD) == "differs"
    assert outcome_of(GOOD, BAD, GOOD) == "altered"
    assert outcome_of(GOOD, None, GOOD) == outcome_of(GOOD, GOOD, None) == "gone"


async def test_costs_cover_all_attempts(platform: Platform) -> None:
    person, broker = platform.person(), platform.broker
    job_id = await person.create()
    await person.reached(job_id, "processing")
    for chunk in (0, 1):
        await broker.publish(chunk_planned(job_id, chunk))
    measured = {"cpu_seconds": 1.25, "gpu_seconds": 0.5, "wasted_seconds": 0.25, "deliveries": 2}
    await broker.publish(chunk_transcribed(job_id, 0).model_copy(update=measured))
    await eventually(lambda: person.job(job_id), lambda job: job["chunks_done"])
    await person.http.post(f"/jobs/{job_id}/cancel")
    await broker.publish(chunk_transcribed(job_id, 1).model_copy(update={"cpu_seconds": 1.0}))
    await person.http.post(f"/jobs/{job_id}/restart")
    await person.reached(job_id, "processing")
    for chunk in (0, 1):
        await broker.publish(chunk_planned(job_id, chunk, attempt=2))
    await broker.publish(chunk_transcribed(job_id, 1, attempt=2).model_copy(update={"cpu_seconds": 2.0}))
    await broker.publish(audio_planned(job_id, 2, attempt=2).model_copy(update={"cpu_seconds": 0.75}))
    await platform.complete(person, job_id, attempt=2)
    costs = (await person.job(job_id))["costs"]
    assert costs["cpu_seconds"] == 1.25 + 1.0 + 2.0 + 0.75
    assert (costs["gpu_seconds"], costs["audio_seconds"], costs["retries"]) == (0.5, 120.0, 1)
    # 1.5 s each: two results that were used, one that came after the cancellation; and the try that failed.
    assert (costs["decode_seconds"], costs["wasted_seconds"]) == (4.75, 1.75)
    assert costs["rtfx"] > 0

    (assembly,) = platform.workers.of(job_id, AssembleWork)
    assert [(origin.chunk, origin.attempt, origin.worker) for origin in assembly.origins] == [
        (0, 1, "w1"),
        (1, 2, "w1"),
    ]
    assert assembly.source_sha256 == (await person.job(job_id))["sha256"]
    figures = (await platform.person(role="admin").http.get("/admin/stats")).json()["kpis"]
    assert (figures["cpu_seconds"], figures["wasted_seconds"], figures["retries"]) == (5.0, 1.75, 1)


async def test_a_verification_counts_against_the_callers_hours(start: StartPlatform) -> None:
    platform = await start(quota_audio_hours_per_day=0.1)  # 6 minutes
    person, admin = platform.person(), platform.person(role="admin")
    job_id = await completed(platform, person, 5)  # 5 minutes and 5 seconds

    async def used() -> float:
        hours: float = (await person.http.get("/me/usage")).json()["audio_hours_per_day"]["used"]
        return hours

    before = await used()
    begun = await person.http.post(f"/jobs/{job_id}/verify", json={"chunks": 2})
    assert begun.status_code == 202
    assert await used() == pytest.approx(before + 2 / 60, abs=0.002)
    for work in await sent(platform.sessions, VerifyWork):
        await platform.broker.publish(answer(work))
    await ended(person, job_id, begun.json()["id"])
    refused = await person.http.post(f"/jobs/{job_id}/verify", json={"chunks": 2})
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["limit"]) == (429, "quota_exceeded", "audio_hours_per_day")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await person.http.get(f"/jobs/{job_id}/verifications")).json()["items"][0]["id"] == begun.json()["id"]
    assert (await admin.http.post(f"/jobs/{job_id}/verify")).status_code == 202
