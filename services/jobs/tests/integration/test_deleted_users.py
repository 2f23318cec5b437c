"""Deleted accounts: their rows are deleted, and later requests are refused."""

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select, text, update

from common.events import JobCreated, JobDeleted, UserDeleted
from common.testing import eventually
from jobs.service import TOMBSTONES_KEPT
from jobs.tables import AudioDay, DeletedUser, IdempotencyKey, Job, UploadBegun

from .jobs_harness import Person, Platform, a_new_job, sent

pytestmark = pytest.mark.integration

_STUCK = text("SELECT count(*) FROM pg_locks WHERE relation = 'job_events'::regclass AND NOT granted")
_WAITING = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


async def delete(platform: Platform, person: Person) -> None:
    """Publish the deletion of the account, and wait for its tombstone."""
    await platform.broker.publish(UserDeleted(user_id=person.id, deleted_by=uuid4()))
    await eventually(lambda: platform.scalar(select(DeletedUser.user_id).where(DeletedUser.user_id == person.id)))


def refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (401, "account_gone"), answer.text


async def begin_upload(person: Person) -> UUID:
    upload = uuid4()
    body = {"job_id": str(upload), "size_bytes": 10, "lifetime_seconds": 3600}
    assert (await person.http.post("/uploads", json=body)).status_code == 204
    return upload


async def test_a_deleted_account_cannot_start_anything(platform: Platform) -> None:
    person, other, admin = platform.person(), platform.person(), platform.person(role="admin")
    kept = await other.create()
    await platform.transcribe(other, kept, "one")
    for who in (person, admin):
        await delete(platform, who)
        refused(await who.post(a_new_job()))
        begun = {"job_id": str(uuid4()), "size_bytes": 10, "lifetime_seconds": 3600}
        refused(await who.http.post("/uploads", json=begun))
        refused(await who.http.post(f"/jobs/{kept}/restart", json={}))
        refused(await who.http.post(f"/jobs/{kept}/verify", json={}))
    assert {event.job_id for event in await sent(platform.sessions, JobCreated)} == {kept}
    assert (await other.job(await other.create()))["state"]


async def test_other_rows_and_uploads_of_the_account_are_deleted(platform: Platform) -> None:
    person, other = platform.person(), platform.person()
    upload, theirs = await begin_upload(person), await begin_upload(other)
    for who in (person, other):
        assert (await who.http.post("/idempotency-keys", json={"key": "k", "holder": str(uuid4())})).is_success
    async with platform.sessions.begin() as session:
        session.add(AudioDay(owner_id=person.id, day=func.current_date(), seconds=1))
    await delete(platform, person)
    assert [event.job_id for event in await sent(platform.sessions, JobDeleted)] == [upload]
    async with platform.sessions() as session:
        assert list(await session.scalars(select(UploadBegun.job_id))) == [theirs]
        assert list(await session.scalars(select(IdempotencyKey.owner_id))) == [other.id]
        assert list(await session.scalars(select(AudioDay.owner_id))) == []


async def test_a_concurrent_creation_is_committed_and_then_deleted(platform: Platform) -> None:
    """The creation found the account present: the deletion waits for it, and deletes its job."""
    person = platform.person()
    new = a_new_job()
    async with platform.sessions.begin() as blocking:
        # The creation writes its first event after its check: there it stops.
        await blocking.execute(text("LOCK TABLE job_events IN ACCESS EXCLUSIVE MODE"))
        creating = asyncio.create_task(person.post(new))
        await eventually(lambda: platform.scalar(_STUCK))
        await platform.broker.publish(UserDeleted(user_id=person.id, deleted_by=uuid4()))
        await eventually(lambda: platform.scalar(_WAITING))
    assert (await creating).status_code == 201
    await eventually(
        lambda: sent(platform.sessions, JobDeleted), lambda seen: [event.job_id for event in seen] == [new.job_id]
    )
    async with platform.sessions() as session:
        assert list(await session.scalars(select(Job.id))) == []


async def test_no_concurrent_creation_survives_the_deletion(platform: Platform) -> None:
    person = platform.person()

    async def create() -> httpx.Response:
        return await person.post(a_new_job())

    first = [asyncio.create_task(create()) for _ in range(10)]
    await platform.broker.publish(UserDeleted(user_id=person.id, deleted_by=uuid4()))
    while True:
        answers = await asyncio.gather(*(create() for _ in range(5)))
        if any(answer.status_code == 401 for answer in answers):
            break
    assert {answer.status_code for answer in await asyncio.gather(*first)} <= {201, 401}
    async with platform.sessions() as session:
        assert list(await session.scalars(select(Job.id))) == []


async def test_tombstones_are_deleted_after_the_life_of_any_token(platform: Platform) -> None:
    old, recent = platform.person(), platform.person()
    for who in (old, recent):
        await delete(platform, who)
    async with platform.sessions.begin() as session:
        long_ago = update(DeletedUser).where(DeletedUser.user_id == old.id)
        await session.execute(long_ago.values(deleted_at=func.now() - TOMBSTONES_KEPT))
    left = select(func.array_agg(DeletedUser.user_id))
    await eventually(lambda: platform.scalar(left), lambda ids: ids == [recent.id])
