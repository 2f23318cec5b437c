"""Creation of several jobs at once, and only once per Idempotency-Key."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update

from common.events import JobCreated
from jobs.tables import IdempotencyKey, Job

from .jobs_harness import Person, Platform, a_new_job, sent

pytestmark = pytest.mark.integration

PRINT = "ab" * 32


async def claimed(person: Person, holder: UUID, key: str = "k-1") -> dict[str, Any]:
    answer = await person.http.post("/idempotency-keys", json={"key": key, "holder": str(holder)})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def batch(holder: UUID | None, *names: str) -> dict[str, Any]:
    claim = {"key": "k-1", "holder": str(holder), "fingerprint": PRINT} if holder else None
    return {"jobs": [a_new_job(file_name=name).model_dump(mode="json") for name in names], "claim": claim}


async def test_several_recordings_become_jobs_in_one_request(platform: Platform) -> None:
    person = platform.person()
    answer = await person.http.post("/jobs", json=batch(None, "a.mp3", "b.mp3"))
    assert answer.status_code == 201
    assert [job["file_name"] for job in answer.json()["items"]] == ["a.mp3", "b.mp3"]
    bad = batch(None, "c.mp3", "d.mp3")
    bad["jobs"][1]["source_key"] = "uploads/x/source"
    assert (await person.http.post("/jobs", json=bad)).json()["code"] == "foreign_source"
    assert len(await sent(platform.sessions, JobCreated)) == 2, "all or none"


async def test_recordings_of_one_form_are_queued_in_its_order(platform: Platform) -> None:
    names = [f"{number}.mp3" for number in range(8)]
    await platform.person().http.post("/jobs", json=batch(None, *names))
    async with platform.sessions() as session:
        assert list(await session.scalars(select(Job.file_name).order_by(Job.turn_at, Job.id))) == names


async def test_a_key_creates_once_and_belongs_to_its_owner(platform: Platform) -> None:
    person, stranger = platform.person(), platform.person()
    holder, other = uuid4(), uuid4()
    assert (await claimed(person, holder))["state"] == "held"
    assert (await claimed(person, holder))["state"] == "held", "a holder may hold on"
    assert (await claimed(person, other))["state"] == "in_flight"
    assert (await claimed(stranger, other))["state"] == "held"
    body = batch(holder, "a.mp3")
    created = await person.http.post("/jobs", json=body)
    assert created.status_code == 201
    assert (await person.http.post("/jobs", json=body)).json() == created.json(), "the answer was lost: again"
    reservation = await claimed(person, other)
    assert (reservation["state"], reservation["fingerprint"]) == ("answered", PRINT)
    assert reservation["answer"] == created.json()


async def test_a_released_or_expired_lease_is_free_again(platform: Platform) -> None:
    person, first, second, third = platform.person(), uuid4(), uuid4(), uuid4()
    await claimed(person, first)
    await person.http.post("/idempotency-keys/release", json={"key": "k-1", "holder": str(second)})
    assert (await claimed(person, second))["state"] == "in_flight", "only the holder can release"
    await person.http.post("/idempotency-keys/release", json={"key": "k-1", "holder": str(first)})
    assert (await claimed(person, second))["state"] == "held"
    async with platform.sessions.begin() as session:
        await session.execute(update(IdempotencyKey).values(leased_until=text("now() - interval '1 second'")))
    assert (await claimed(person, third))["state"] == "held", "its gateway died"
    answer = await person.http.post("/jobs", json=batch(second, "late.mp3"))
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_flight")
    assert await sent(platform.sessions, JobCreated) == []


async def test_a_key_expires_after_a_day(platform: Platform) -> None:
    person, first, second = platform.person(), uuid4(), uuid4()
    await claimed(person, first)
    await person.http.post("/jobs", json=batch(first, "a.mp3"))
    async with platform.sessions.begin() as session:
        await session.execute(update(IdempotencyKey).values(created_at=text("now() - interval '25 hours'")))
    assert (await claimed(person, second))["state"] == "held"


async def test_a_repetition_reports_a_deleted_job(platform: Platform) -> None:
    person = platform.person()
    holder = uuid4()
    await claimed(person, holder)
    body = batch(holder, "a.mp3", "b.mp3")
    first, second = (job["id"] for job in (await person.http.post("/jobs", json=body)).json()["items"])
    assert (await claimed(person, uuid4()))["state"] == "answered"
    await person.http.delete(f"/jobs/{first}")
    again = await person.http.post("/idempotency-keys", json={"key": "k-1", "holder": str(uuid4())})
    problem = again.json()
    assert (again.status_code, problem["code"]) == (410, "job_deleted")
    assert (problem["deleted"], problem["existing"]) == ([first], [second])
