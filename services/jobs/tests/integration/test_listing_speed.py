"""The listing reads indexes, whatever is asked of it, with 100,000 jobs in the catalogue."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from jobs.dispatch import Dispatcher
from jobs.listing import COUNTED, ListQuery
from jobs.repository import ListingRepository, QueueRepository
from jobs.repository.listing import position
from jobs.settings import Settings
from jobs.tables import Job

pytestmark = pytest.mark.integration

OWNER = UUID(int=1)  # and four more
BUDGET = 0.05  # seconds

FILL = """
    INSERT INTO jobs (id, owner_id, file_name, content_type, size_bytes, sha256, source_key, options, correlation_id,
                      state, created_at, turn_at, finished_at, duration_seconds, tags, search)
    SELECT gen_random_uuid(), lpad(to_hex(1 + n % 5), 32, '0')::uuid, 'talk.mp3', 'audio/mpeg', 1, repeat('0', 64),
           'uploads/x/source', jsonb_build_object('model', CASE WHEN n % 500 = 0 THEN 'small' ELSE 'base' END), 'c',
           CASE WHEN n % 7 = 0 THEN 'queued' WHEN n % 11 = 0 THEN 'failed' ELSE 'completed' END,
           now() - make_interval(secs => n), now() - make_interval(secs => n),
           CASE WHEN n % 7 > 0 THEN now() - make_interval(secs => n / 2) END, n % 1000,
           CASE WHEN n % 1000 = 0 THEN ARRAY['rare'] ELSE '{}' END,
           to_tsvector('simple', 'every thing ' || CASE WHEN n % 1000 = 0 THEN 'rare ' ELSE '' END
                                 || CASE WHEN n % 100 = 0 THEN 'seldom ' ELSE '' END || 'w' || n % 5000)
    FROM generate_series(1, 100000) AS n
"""

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def full(engine: AsyncEngine) -> AsyncEngine:
    async with engine.begin() as connection:
        await connection.execute(text(FILL))
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE jobs"))
    return engine


async def test_a_page_far_down_is_read_from_the_index(full: AsyncEngine, sessions: Sessions) -> None:
    orders: list[dict[str, Any]] = [
        {"sort": sort, "order": order} for sort in ("created_at", "finished_at", "duration") for order in ORDERS
    ]
    filters: list[dict[str, Any]] = [
        {"state": ["queued"]},
        {"state": ["completed"]},
        {"state": ["failed"]},
        {"model": "base"},
    ]
    for params in [*orders, *filters, {"model": "small"}]:
        for owner in (OWNER, None):
            if owner is None and "model" in params:
                continue
            nodes, taken = await _deep_page(full, sessions, ListQuery.model_validate(params), owner)
            assert {node["Node Type"] for node in nodes} == {"Limit", "Index Scan"}, (params, owner, nodes)
            (index,) = [node["Index Name"] for node in nodes if "Index Name" in node]
            assert index != "jobs_pkey"
            assert taken < BUDGET, (params, owner)


@pytest.mark.parametrize("params", [{"q": "rare"}, {"q": "every thing"}, {"q": "seldom w100"}, {"tag": "rare"}])
async def test_words_are_found_fast_whether_rare_or_everywhere(
    full: AsyncEngine, sessions: Sessions, params: dict[str, Any]
) -> None:
    for owner in (OWNER, None):
        async with sessions() as session:
            listing = ListingRepository(session)
            wanted = ListQuery.model_validate(params)
            await listing.page(wanted, owner_id=owner, limit=51, after=None)
            begun = time.perf_counter()
            assert await listing.page(wanted, owner_id=owner, limit=51, after=None)
            taken = time.perf_counter() - begun
            assert taken < BUDGET, (params, owner)
            begun = time.perf_counter()
            assert await listing.count(wanted, owner_id=owner, most=COUNTED) > 0
            assert time.perf_counter() - begun < 4 * BUDGET, "counting is asked for explicitly"


async def test_a_place_in_a_long_queue_is_found_without_reading_it(full: AsyncEngine, sessions: Sessions) -> None:
    async with sessions() as session:
        last = await session.scalar(text("SELECT id FROM jobs WHERE state = 'queued' ORDER BY turn_at DESC LIMIT 1"))
        job = await session.get(Job, last)
        assert job is not None
        queue = QueueRepository(session)
        begun = time.perf_counter()
        place, _, _ = await queue.ahead(job)
        measured = await queue.measured(job, workers=1)
        await queue.running(measured)
        taken = time.perf_counter() - begun
    assert place == 100_000 // 7
    assert measured.seconds_per_byte is not None
    assert taken < 2 * BUDGET


async def test_dispatch_does_not_read_the_backlog(full: AsyncEngine, sessions: Sessions, settings: Settings) -> None:
    dispatcher = Dispatcher(full, sessions, settings)
    begun = time.perf_counter()
    await dispatcher.dispatch()
    assert time.perf_counter() - begun < 0.5
    async with sessions() as session:
        owners = await session.scalars(text("SELECT owner_id FROM jobs WHERE state = 'processing'"))
        assert len(set(owners)) == settings.max_concurrent_jobs, "each slot went to another owner"


ORDERS = ("desc", "asc")


async def _deep_page(
    full: AsyncEngine, sessions: Sessions, wanted: ListQuery, owner: UUID | None
) -> tuple[list[dict[str, Any]], float]:
    """The nodes of the plan of the fourth page, and the seconds that it took."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        statements.append((statement, parameters))

    event.listen(full.sync_engine, "before_cursor_execute", note)
    async with sessions() as session:
        listing = ListingRepository(session)
        after, taken = None, 0.0
        size = 10 if wanted.model == "small" else 50
        for _ in range(4):
            begun = time.perf_counter()
            page = await listing.page(wanted, owner_id=owner, limit=size, after=after)
            taken = time.perf_counter() - begun
            assert len(page) == size
            after = position(page[-1], wanted)
    event.remove(full.sync_engine, "before_cursor_execute", note)
    statement, parameters = statements[-1]
    async with full.connect() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        plan = rows.scalar_one()
    return list(_nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])), taken


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
