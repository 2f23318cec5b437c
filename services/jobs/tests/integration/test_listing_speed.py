"""The listing stays an index scan with 100,000 jobs in the catalogue."""

import json
import time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from jobs.dispatch import Dispatcher
from jobs.repository import JobRepository
from jobs.settings import Settings
from jobs.states import State

pytestmark = pytest.mark.integration

OWNER = UUID(int=1)  # and four more

FILL = """
    INSERT INTO jobs (id, owner_id, file_name, content_type, size_bytes, sha256, source_key, options, correlation_id,
                      state, created_at)
    SELECT gen_random_uuid(), lpad(to_hex(1 + n % 5), 32, '0')::uuid, 'talk.mp3', 'audio/mpeg', 1, repeat('0', 64),
           'uploads/x/source', '{"model": "base"}', 'c',
           CASE WHEN n % 7 = 0 THEN 'queued' WHEN n % 11 = 0 THEN 'failed' ELSE 'completed' END,
           now() - make_interval(secs => n)
    FROM generate_series(1, 100000) AS n
"""


@pytest.fixture
async def full(engine: AsyncEngine) -> AsyncEngine:
    async with engine.begin() as connection:
        await connection.execute(text(FILL))
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("ANALYZE jobs"))
    return engine


@pytest.mark.parametrize("state", [None, State.QUEUED, State.COMPLETED, State.FAILED])
async def test_a_page_far_down_is_read_from_the_index(
    full: AsyncEngine, sessions: async_sessionmaker[AsyncSession], state: State | None
) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        statements.append((statement, parameters))

    event.listen(full.sync_engine, "before_cursor_execute", note)
    async with sessions() as session:
        jobs = JobRepository(session)
        position = None
        for _ in range(3):
            page = await jobs.page(OWNER, limit=51, before=position, state=state)
            position = (page[-1].created_at, page[-1].id)
        begun = time.perf_counter()
        page = await jobs.page(OWNER, limit=51, before=position, state=state)
        taken = time.perf_counter() - begun
    event.remove(full.sync_engine, "before_cursor_execute", note)
    assert len(page) == 51
    assert taken < 0.05
    statement, parameters = statements[-1]
    async with full.connect() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        plan = rows.scalar_one()
    nodes = list(_nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))
    assert {node["Node Type"] for node in nodes} == {"Limit", "Index Scan"}, "neither sorted nor read as a whole"
    (index,) = [node["Index Name"] for node in nodes if "Index Name" in node]
    assert index != "jobs_pkey"


async def test_dispatch_does_not_read_the_backlog(
    full: AsyncEngine, sessions: async_sessionmaker[AsyncSession], settings: Settings
) -> None:
    dispatcher = Dispatcher(full, sessions, settings)
    begun = time.perf_counter()
    await dispatcher.dispatch()
    assert time.perf_counter() - begun < 0.5
    async with sessions() as session:
        owners = await session.scalars(text("SELECT owner_id FROM jobs WHERE state = 'processing'"))
        assert len(set(owners)) == settings.max_concurrent_jobs, "each slot went to another owner"


def _nodes(plan: dict[str, Any]) -> Any:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
