"""The API for an owner, for another user, and for a retrying gateway."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from common.events import JobCreated, JobOptions
from common.testing import eventually
from common.testing.events import worker_heartbeat
from jobs.tables import Job

from .conftest import StartPlatform
from .jobs_harness import Platform, a_new_job, sent

pytestmark = pytest.mark.integration


async def test_a_new_job_is_queued_and_published(platform: Platform) -> None:
    person = platform.person()
    new = a_new_job(language="de", word_timestamps=True)
    answer = await person.post(new)
    assert answer.status_code == 201
    (job,) = answer.json()["items"]
    assert job["id"] == str(new.job_id)
    assert job["owner_id"] == str(person.id)
    assert (job["state"], job["stage"], job["progress"], job["attempt"]) == ("queued", "waiting", 0.0, 0)
    assert job["options"] == JobOptions(language="de", word_timestamps=True).model_dump(mode="json")
    assert (job["transcript_attempt"], job["formats"], job["reason_code"]) == (None, [], None)
    assert set(job["timings"].values()) == {None}
    (created,) = await sent(platform.sessions, JobCreated)
    assert (created.job_id, created.owner_id, created.source_key) == (new.job_id, person.id, new.source_key)


async def test_repeating_the_request_returns_the_same_job(platform: Platform) -> None:
    person = platform.person()
    new = a_new_job()
    first = await person.post(new)
    again = await person.post(new)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["items"][0]["created_at"] == again.json()["items"][0]["created_at"]
    assert len(await sent(platform.sessions, JobCreated)) == 1


async def test_the_same_id_with_other_values_or_owner_is_refused(platform: Platform) -> None:
    person, stranger = platform.person(), platform.person()
    new = a_new_job()
    await person.post(new)
    for answer in (await person.post(new, sha256="00" * 32), await stranger.post(new)):
        assert (answer.status_code, answer.json()["code"]) == (409, "job_id_taken")


async def test_the_recording_of_another_job_is_refused(platform: Platform) -> None:
    answer = await platform.person().post(a_new_job(), source_key=f"uploads/{uuid4()}/source")
    assert (answer.status_code, answer.json()["code"]) == (422, "foreign_source")


async def test_a_job_of_another_user_reads_as_missing(platform: Platform) -> None:
    owner, stranger = platform.person(), platform.person()
    job_id = await owner.create()
    answers = [
        await stranger.http.get(f"/jobs/{job_id}"),
        await stranger.http.get(f"/jobs/{job_id}/transcript"),
        await stranger.http.get(f"/jobs/{job_id}/events"),
        await stranger.http.post(f"/jobs/{job_id}/cancel"),
        await stranger.http.post(f"/jobs/{job_id}/restart"),
        await stranger.http.delete(f"/jobs/{job_id}"),
        await stranger.http.get(f"/jobs/{uuid4()}"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "job_not_found")}
    assert (await stranger.http.get("/jobs")).json() == {"items": [], "next_cursor": None, "total": None}
    for whose in (str(owner.id), "all"):
        answer = await stranger.http.get("/jobs", params={"owner": whose})
        assert (answer.status_code, answer.json()["code"]) == (403, "admin_only")
    assert (await owner.http.get(f"/jobs/{job_id}")).status_code == 200


async def test_an_administrator_acts_on_the_jobs_of_all_users(platform: Platform) -> None:
    owner, other, administrator = platform.person(), platform.person(), platform.person(role="admin")
    job_id, foreign = await owner.create(), await other.create()
    job = await administrator.job(job_id)
    assert (job["owner_id"], job["owner_name"]) == (str(owner.id), f"user-{owner.id.hex[:6]}")
    assert (await administrator.http.get("/jobs")).json()["items"] == [], "without asking: their own"
    everything = (await administrator.http.get("/jobs", params={"owner": "all"})).json()["items"]
    assert [job["id"] for job in everything] == [str(foreign), str(job_id)]
    theirs = (await administrator.http.get("/jobs", params={"owner": str(owner.id)})).json()["items"]
    assert [job["id"] for job in theirs] == [str(job_id)]
    assert (await administrator.http.post(f"/jobs/{job_id}/cancel")).json()["state"] == "cancelled"
    assert (await administrator.http.delete(f"/jobs/{job_id}")).status_code == 204
    assert (await owner.http.get(f"/jobs/{job_id}")).status_code == 404


async def test_requests_need_a_valid_token(platform: Platform) -> None:
    person = platform.person(lifetime=-60)
    assert (await person.http.get("/jobs")).json()["code"] == "token_expired"
    answer = await person.http.get("/jobs", headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


async def test_listing_pages_through_all_jobs_newest_first(platform: Platform) -> None:
    person = platform.person()
    created = [str(await person.create()) for _ in range(5)]
    # The id orders jobs of equal times.
    async with platform.sessions.begin() as session:
        first = datetime.fromisoformat((await person.job(UUID(created[0])))["created_at"])
        await session.execute(update(Job).where(Job.id.in_(created[:3])).values(created_at=first))
    seen, cursor = [], None
    for _ in range(3):
        params: dict[str, Any] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await person.http.get("/jobs", params=params)).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == [created[4], created[3], *sorted(created[:3], reverse=True)]


async def test_listing_filters_by_state_and_refuses_foreign_cursors(start: StartPlatform) -> None:
    platform = await start(max_concurrent_jobs=1)
    person = platform.person()
    for _ in range(2):
        await person.create()

    async def states() -> bool:
        jobs = (await person.http.get("/jobs")).json()["items"]
        return [job["state"] for job in jobs] == ["queued", "processing"]

    await eventually(states)
    queued = (await person.http.get("/jobs", params={"state": "queued"})).json()["items"]
    assert [job["state"] for job in queued] == ["queued"]
    assert (await person.http.get("/jobs", params={"cursor": "nonsense"})).json()["code"] == "invalid_cursor"
    assert (await person.http.get("/jobs", params={"state": "lost"})).json()["code"] == "invalid_request"


async def test_a_model_that_no_live_worker_serves_is_refused_by_name(platform: Platform) -> None:
    person = platform.person()
    new = a_new_job(model="large-v3")
    await person.create(new)  # no worker is known yet, so it may come
    await platform.broker.broadcast(worker_heartbeat(models=["tiny", "base"]))
    answer = await eventually(
        lambda: person.post(a_new_job(model="large-v3")),
        lambda answer: answer.status_code == 422,
    )
    problem = answer.json()
    assert (problem["code"], problem["available"]) == ("model_not_available", ["base", "tiny"])
    assert "large-v3" in problem["detail"]
    await person.create(a_new_job(model="tiny"))
    repeated = await person.post(new)
    assert repeated.status_code == 201, "a job that was accepted stays accepted"


async def test_the_service_is_ready_when_all_checks_pass(platform: Platform) -> None:
    answer = await platform.person().http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"] == ["background", "broker", "database", "dead letters", "events", "logs"]
