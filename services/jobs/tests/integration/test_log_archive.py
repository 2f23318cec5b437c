"""The log archive: every record once, in order, readable by the owner, and pruned."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common import context, logging
from common.events.archive import ArchivedBatch
from common.messaging import RawMessage
from common.testing import eventually
from jobs.logs.archive import LogArchive
from jobs.settings import Settings
from jobs.tables import LogRecord

from .jobs_harness import Person, Platform

pytestmark = pytest.mark.integration

Sessions = async_sessionmaker[AsyncSession]


class Watchers:
    """Records what the archive publishes."""

    def __init__(self) -> None:
        self.published: list[ArchivedBatch] = []

    async def __call__(self, lines: ArchivedBatch) -> None:
        self.published.append(lines)


def line(job_id: UUID | str, event: str, **keys: Any) -> RawMessage:
    record = {"log_id": uuid4().hex, "timestamp": datetime.now(UTC).isoformat(), "event": event, **keys}
    return RawMessage(
        routing_key=f"transcriber.info.{job_id}",
        body=json.dumps(record).encode(),
        headers={},
        queue="jobs.logs",
        reason=None,
        count=1,
        message_id=None,
        message_type="log",
        correlation_id=None,
    )


def access_line(path: str) -> RawMessage:
    return line("-", "request answered", logger="common.web.middleware", path=path, status=200)


async def archived(sessions: Sessions) -> list[dict[str, Any]]:
    async with sessions() as session:
        return list((await session.scalars(select(LogRecord.record).order_by(LogRecord.seq))).all())


async def events_of(person: Person, job_id: UUID) -> list[str]:
    page = (await person.http.get(f"/jobs/{job_id}/logs")).json()
    return [item["record"]["event"] for item in page["items"]]


async def test_a_job_log_is_readable_by_its_owner(platform: Platform, logging_restored: None) -> None:
    logging.configure(platform.settings, "jobs")
    structlog.configure(cache_logger_on_first_use=False)  # or what logs meanwhile would stay as it is now
    person = platform.person()
    job_id = await person.create()
    with context.bound(job_id=job_id):
        structlog.get_logger("test").info("said in the name of the job", answer=42)
    events = await eventually(lambda: events_of(person, job_id), lambda events: len(events) >= 3)
    assert events.index("job queued") < events.index("job started")
    assert "said in the name of the job" in events
    page = (await person.http.get(f"/jobs/{job_id}/logs", params={"limit": 1})).json()
    assert page["items"][0]["record"]["job_id"] == str(job_id)
    rest = (await person.http.get(f"/jobs/{job_id}/logs", params={"after": page["next_after"]})).json()
    assert [item["record"]["event"] for item in rest["items"]] == events[1:]
    assert rest["complete"]
    assert rest["next_after"] >= rest["items"][-1]["seq"]
    end = (await person.http.get(f"/jobs/{job_id}/logs", params={"after": rest["next_after"]})).json()
    assert end["items"] == []


async def test_repeated_records_are_stored_once_and_new_ones_are_published(
    sessions: Sessions, settings: Settings
) -> None:
    watchers = Watchers()
    archive = LogArchive(sessions, settings, watchers)
    job_id = uuid4()
    batch = [line(job_id, "first"), line("-", "of no job"), access_line("/jobs"), line(job_id, "second")]
    await archive.store(batch)
    await archive.store(batch)
    await archive.store([*batch, line(job_id, "third")])
    events = ["first", "of no job", "request answered", "second", "third"]
    assert [record["event"] for record in await archived(sessions)] == events
    one, two = watchers.published
    assert [json.loads(line.text)["event"] for line in one.lines] == ["first", "of no job", "second"]
    assert [line.job_id for line in one.lines] == [str(job_id), None, str(job_id)]
    assert [json.loads(line.text)["cursor"] for line in one.lines] == [line.cursor for line in one.lines]
    assert (one.previous, one.upto, two.previous) == (0, one.lines[-1].cursor, one.upto)


async def test_an_unreadable_record_does_not_affect_the_batch(sessions: Sessions, settings: Settings) -> None:
    archive = LogArchive(sessions, settings, Watchers())
    job_id = uuid4()
    good = line(job_id, "good", text="a\x00b", half="\ud800", number=float("nan"))
    bodies = (b"not json", b"[]", b"{}", b'{"log_id": "x"}', b"\xff")
    bad = [RawMessage(**{**vars(good), "body": body}) for body in bodies]
    await archive.store([*bad, good, line("not-an-id", "bad key")])
    (record,) = await archived(sessions)
    assert (record["event"], record["text"], record["half"], record["number"]) == ("good", "a�b", "?", "NaN")


async def test_records_are_pruned_by_age_and_by_number(sessions: Sessions, settings: Settings) -> None:
    archive = LogArchive(sessions, settings.model_copy(update={"log_retention_lines": 3}), Watchers())
    await archive.store([line(uuid4(), f"line {number}") for number in range(5)])
    assert not await archive.prune()
    assert [record["event"] for record in await archived(sessions)] == ["line 2", "line 3", "line 4"]
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE log_lines SET received_at = now() - interval '15 days' WHERE record ->> 'event' = 'line 2'")
        )
    await archive.prune()
    await archive.prune()
    assert [record["event"] for record in await archived(sessions)] == ["line 3", "line 4"]


async def test_each_kind_of_record_has_its_own_limits(sessions: Sessions, settings: Settings) -> None:
    limits = {"log_retention_lines": 4, "system_log_retention_lines": 2}
    archive = LogArchive(sessions, settings.model_copy(update=limits), Watchers())
    for number in range(5):
        await archive.store([line(uuid4(), f"job {number}"), line("-", f"system {number}"), access_line(f"/{number}")])
    await archive.prune()
    left = [record.get("path") or record["event"] for record in await archived(sessions)]
    assert sorted(left) == ["/3", "/4", "job 1", "job 2", "job 3", "job 4", "system 3", "system 4"]


async def test_deleting_a_job_deletes_its_log(platform: Platform, settings: Settings) -> None:
    person = platform.person()
    job_id, other = await person.create(), await person.create()
    archive = LogArchive(platform.sessions, settings, Watchers())
    await archive.store([line(job_id, "mine"), line(other, "another's")])
    assert (await person.http.delete(f"/jobs/{job_id}")).status_code == 204
    async with platform.sessions() as session:
        # The record of the deletion itself may arrive later; retention removes it.
        mine = LogRecord.record["event"].astext == "mine"
        left = await session.scalar(select(func.count()).where(LogRecord.job_id == job_id, mine))
    assert left == 0
    assert "another's" in await events_of(person, other)
