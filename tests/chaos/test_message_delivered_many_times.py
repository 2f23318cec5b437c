"""Row 13: the same message a hundred times has the effect of one."""

import asyncio
from uuid import UUID

import pytest

from common.messaging.envelope import Envelope
from common.testing import eventually
from common.testing.events import chunk_work, plan_work
from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos

CONSUMED = "verbatim_messages_consumed_total"


async def test_a_hundred_copies_of_each_fact_have_one_effect(platform: Platform) -> None:
    job_id = platform.submit(marked.brief())
    await platform.finished(job_id)
    before = {name: await platform.counted(name, CONSUMED, outcome="duplicate") for name in ("metadata", "cleanup")}
    async with platform.sql() as sql:
        rows = await sql.fetch(
            "SELECT * FROM jobs.outbox WHERE exchange = 'events' AND body::json ->> 'job_id' = $1", job_id
        )
    assert {row["message_type"] for row in rows} >= {"job.created.v1", "job.transcribed.v1", "job.completed.v1"}
    copies = [
        Envelope(
            exchange=row["exchange"],
            routing_key=row["routing_key"],
            message_id=str(row["message_id"]),
            message_type=row["message_type"],
            correlation_id=row["correlation_id"],
            traceparent=None,
            body=row["body"].encode(),
        )
        for row in rows
        for _ in range(100)
    ]
    await _send(platform, copies)

    async def ignored() -> bool | None:
        counts = [await platform.counted(name, CONSUMED, outcome="duplicate") - before[name] for name in before]
        return True if min(counts) >= 200 else None

    await eventually(ignored, what="two hundred copies are counted as duplicates by each listener")
    await assert_whole(platform)


async def test_work_that_comes_again_and_again_is_done_once(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    await platform.chunks_done(job_id, 1)
    work = chunk_work(UUID(job_id), 1)
    plan = plan_work(UUID(job_id), size_bytes=len(marked.lengthy().content))
    await _send(platform, [Envelope.of(work) for _ in range(100)] + [Envelope.of(plan) for _ in range(3)])

    await assert_whole(platform)


async def _send(platform: Platform, copies: list[Envelope]) -> None:
    async with platform.broker() as broker:
        await asyncio.gather(*(broker.send(copy) for copy in copies))
