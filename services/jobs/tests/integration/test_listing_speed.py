"""The listing reads indexes, whatever is asked of it, with 100,000 jobs in the catalogue.

The tests count the pages that the database reads, because seconds depend on the machine.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from jobs.app import MIGRATIONS
from jobs.loops.dispatch import Dispatcher
from jobs.repository import ListingRepository, QueueRepository
from jobs.repository.listing import position
from jobs.schemas.listing import COUNTED, ListQuery
from jobs.settings import Settings
from jobs.tables import Job
from native.testing import PostgresServer

pytestmark = pytest.mark.integration

OWNER = UUID(int=1)  # and four more

FILL = """
    INSERT INTO jobs (id, owner_id, file_name, content_type, size_bytes, sha256, source_key, options, correlation_id,
                      state, created_at, turn_at, finished_at, duration_seconds, tags, shown, grams, search)
    SELECT gen_random_uuid(), lpad(to_hex(1 + n % 5), 32, '0')::uuid, 'talk-' || n || '.mp3', 'audio/mpeg', 1,
           repeat('0', 64), 'uploads/x/source',
           jsonb_build_object('model', CASE WHEN n % 500 = 0 THEN 'small' ELSE 'base' END), 'c',
           CASE WHEN n % 7 = 0 THEN 'queued' WHEN n % 11 = 0 THEN 'failed' ELSE 'completed' END,
           now() - make_interval(secs => n), now() - make_interval(secs => n),
           CASE WHEN n % 7 > 0 THEN now() - make_interval(secs => n / 2) END, n % 1000,
           CASE WHEN n % 1000 = 0 THEN ARRAY['rare'] ELSE '{}' END,
           'talk-' || n || '.mp3', array_to_tsvector(ARRAY(
               SELECT DISTINCT substr('talk-' || n || '.mp3', start, length)
               FROM generate_series(1, 15) AS start CROSS JOIN generate_series(1, 3) AS length
               WHERE start <= length('talk-' || n || '.mp3'))),
           to_tsvector('simple', 'every thing ' || CASE WHEN n % 1000 = 0 THEN 'rare ' ELSE '' END
                                 || CASE WHEN n % 100 = 0 THEN 'seldom ' ELSE '' END || 'w' || n % 5000)
    FROM generate_series(1, 100000) AS n
"""

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture(scope="module")
def migrated_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The filled catalogue, shared by all tests here; only the last one changes it."""
    url = postgres_server.create_migrated(MIGRATIONS)
    asyncio.run(_fill(url))
    yield url
    postgres_server.drop(url)


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(FILL)
    await connection.execute("VACUUM ANALYZE jobs")
    await connection.close()


@pytest.fixture
def full(engine: AsyncEngine) -> AsyncEngine:
    return engine


ORDERS = ("desc", "asc")


async def test_a_late_page_is_read_from_the_index(full: AsyncEngine, sessions: Sessions) -> None:
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
            wanted = ListQuery.model_validate(params)
            size = 10 if wanted.model == "small" else 50
            after = None
            async with sessions() as session:
                for _ in range(4):
                    with _statements(full) as statements:
                        page = await ListingRepository(session).page(wanted, owner_id=owner, limit=size, after=after)
                    assert len(page) == size
                    after = position(page[-1], wanted)
            (plan,) = await _plans(full, statements)
            nodes = list(_nodes(plan))
            assert {node["Node Type"] for node in nodes} == {"Limit", "Index Scan"}, (params, owner, nodes)
            (index,) = [node["Index Name"] for node in nodes if "Index Name" in node]
            assert index != "jobs_pkey"
            assert _pages([plan]) < await _table_pages(full) / 10, (params, owner)


async def test_rare_and_frequent_words_are_found_without_a_scan(full: AsyncEngine, sessions: Sessions) -> None:
    words = (
        *("rare", "every", "every thing", "seldom w100", "lk-7777", "alk", "t", "-9", "77 rare", "rar", '"rare"'),
        *("every -rare", "-seldom", "nowhere or rare", "talk-77777.mp3", "99%"),
    )
    for params in (*({"q": q} for q in words), {"tag": "rare"}):
        for owner in (OWNER, None):
            wanted = ListQuery.model_validate(params)
            async with sessions() as session:
                with _statements(full) as statements:
                    page = await ListingRepository(session).page(wanted, owner_id=owner, limit=51, after=None)
                    count = await ListingRepository(session).count(wanted, owner_id=owner, most=COUNTED)
            assert bool(page) == (count > 0), params
            assert page or params == {"q": "99%"} or owner is not None, params
            plans = await _plans(full, statements)
            if not params.get("q", "").startswith("-"):  # a count of nearly all stops soon, whatever it reads
                assert "Seq Scan" not in {node["Node Type"] for plan in plans for node in _nodes(plan)}, params
            assert _pages(plans) < await _table_pages(full) / 5, (params, owner)


async def test_a_position_in_a_long_queue_is_found_without_a_scan(full: AsyncEngine, sessions: Sessions) -> None:
    async with sessions() as session:
        last = await session.scalar(text("SELECT id FROM jobs WHERE state = 'queued' ORDER BY turn_at DESC LIMIT 1"))
        job = await session.get(Job, last)
        assert job is not None
        queue = QueueRepository(session)
        with _statements(full) as statements:
            place, _, _ = await queue.ahead(job)
            measured = await queue.measured(job, workers=1)
            await queue.running(measured)
    assert place == 100_000 // 7
    assert measured.seconds_per_byte is not None
    # Counting those before it reads the index of a long queue, but not the jobs.
    assert _pages(await _plans(full, statements)) < await _table_pages(full) * 3 / 4


async def test_dispatch_does_not_scan_the_backlog(full: AsyncEngine, sessions: Sessions, settings: Settings) -> None:
    dispatcher = Dispatcher(full, sessions, settings)
    with _statements(full) as statements:
        await dispatcher.dispatch()
    async with sessions() as session:
        owners = await session.scalars(text("SELECT owner_id FROM jobs WHERE state = 'processing'"))
        assert len(set(owners)) == settings.max_concurrent_jobs, "each slot went to another owner"
    assert _pages(await _plans(full, statements)) < await _table_pages(full) / 10


@contextmanager
def _statements(full: AsyncEngine) -> Iterator[list[tuple[str, Any]]]:
    """Record the statements on the jobs table while the block runs."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if ("jobs" in statement and "reltuples" not in statement) or "set_config" in statement:
            statements.append((statement, parameters))

    event.listen(full.sync_engine, "before_cursor_execute", note)
    yield statements
    event.remove(full.sync_engine, "before_cursor_execute", note)


async def _plans(full: AsyncEngine, statements: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Return the plans of the statements; their changes are rolled back."""
    plans = []
    async with full.connect() as connection:
        for statement, parameters in statements:
            if "set_config" in statement:
                await connection.exec_driver_sql(statement, parameters)
            if "set_config" in statement or statement.startswith("EXPLAIN"):
                continue
            rows = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
            plan = rows.scalar_one()
            plans.append((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        await connection.rollback()
    return plans


def _pages(plans: list[dict[str, Any]]) -> int:
    return sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)


async def _table_pages(full: AsyncEngine) -> int:
    async with full.connect() as connection:
        pages: int = (await connection.execute(text("SELECT pg_relation_size('jobs') / 8192"))).scalar_one()
    return pages


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
