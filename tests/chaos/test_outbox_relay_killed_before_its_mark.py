"""Row 4: killed between the broker's confirmation and the mark, a relay publishes twice; nobody counts it twice."""

import asyncio
import signal

import pytest

from common.testing import eventually
from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos

CONSUMED = "verbatim_messages_consumed_total"


async def test_fact_that_is_published_twice_counts_once(platform: Platform) -> None:
    await platform.fleet.kill("rabbitmq", signal.SIGSTOP, hold=False)
    heard = {name: await platform.counted(name, CONSUMED, message="job.created.v1") for name in ("metadata", "cleanup")}
    job_id = platform.submit(marked.brief())
    async with platform.sql() as sql:
        # The relay may read and publish, and cannot mark.
        await sql.execute("BEGIN; LOCK TABLE jobs.outbox IN SHARE MODE")
        await platform.fleet.kill("rabbitmq", signal.SIGCONT, hold=False)

        async def delivered() -> bool | None:
            counts = [await platform.counted(name, CONSUMED, message="job.created.v1") - heard[name] for name in heard]
            return True if min(counts) > 0 else None

        await eventually(delivered, what="the fact has reached its listeners")
        unmarked = await sql.fetchval(
            "SELECT count(*) FROM jobs.outbox WHERE published_at IS NULL AND body::json ->> 'job_id' = $1", job_id
        )
        assert unmarked, "the relay marked the row before it was killed"
        await platform.fleet.kill("jobs", signal.SIGKILL)
        await sql.execute("COMMIT")
    duplicates = await platform.counted("cleanup", CONSUMED, message="job.created.v1", outcome="duplicate")
    await asyncio.gather(platform.fleet.start("jobs"), platform.finished(job_id))
    await eventually(
        lambda: platform.counted("cleanup", CONSUMED, message="job.created.v1", outcome="duplicate"),
        lambda now: now > duplicates,
        what="the second copy is counted as a duplicate",
    )
    await assert_whole(platform)
