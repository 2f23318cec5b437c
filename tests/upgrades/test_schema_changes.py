"""Schema changes: the release before works on the new schema, and data of every earlier schema is kept.

A step may only add, so that services of two releases run side by side during an upgrade (decision 0023). What removes
something comes one release later, when no service uses it any more, and is listed in `AGREED` with its reason.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from common import database

pytestmark = pytest.mark.integration

SERVICES = ("auth", "cleanup", "jobs", "metadata")
# The first step of every history starts from an empty schema.
STEPS = [
    (service, before, after)
    for service in SERVICES
    for before, after in pairwise([None, *database.revisions(f"{service}.migrations")])
]
HEADS = [(service, revision) for service in SERVICES for revision in database.revisions(f"{service}.migrations")]

# What a revision removes or forbids all the same: (revision, what) -> why no service of the release before needs it.
AGREED: dict[tuple[str, str], str] = {}

# What the first release wrote. Every schema since must hold it, and still take it.
WRITTEN: dict[str, str] = {
    "auth": """
        INSERT INTO login_attempts (username_key, address, failures, window_ends_at) VALUES ('ann{n}', 'a', 1, now());
        INSERT INTO security_events (kind, username) VALUES ('login', 'ann{n}');
        INSERT INTO signing_keys (kid, public_key, sealed_key) VALUES ('k{n}', 'p', 's');
        INSERT INTO users (id, username, username_key, role, password_hash)
            VALUES (gen_random_uuid(), 'Ann{n}', 'ann{n}', 'user', 'h');
    """,
    "cleanup": """
        INSERT INTO inbox (consumer, event_id) VALUES ('cleanup', gen_random_uuid());
        INSERT INTO jobs (job_id, owner_id, state, created_at)
            VALUES (gen_random_uuid(), gen_random_uuid(), 'completed', now());
        INSERT INTO outbox (message_id, exchange, routing_key, message_type, correlation_id, body)
            VALUES (gen_random_uuid(), 'events', 'job.expired.v1', 'job.expired.v1', 'c', '{{}}');
        INSERT INTO suspects (job_id) VALUES (gen_random_uuid());
    """,
    "jobs": """
        INSERT INTO jobs (id, owner_id, file_name, content_type, size_bytes, sha256, source_key, options,
                          correlation_id)
            VALUES (md5('{n}')::uuid, gen_random_uuid(), 'a.mp3', 'audio/mpeg', 9, repeat('ab', 32), 'uploads/x',
                    '{{"model": "base", "task": "transcribe"}}', 'c');
        INSERT INTO chunks (job_id, attempt, chunk, seconds) VALUES (md5('{n}')::uuid, 1, 0, 30.0);
        INSERT INTO dead_letters (fingerprint, queue, reason, deliveries, routing_key, headers, body)
            VALUES ('f{n}', 'q', 'rejected', 3, 'work.plan', '{{}}', 'b');
        INSERT INTO inbox (consumer, event_id) VALUES ('jobs', gen_random_uuid());
        INSERT INTO outbox (message_id, exchange, routing_key, message_type, correlation_id, body)
            VALUES (gen_random_uuid(), 'events', 'job.created.v1', 'job.created.v1', 'c', '{{}}');
        INSERT INTO workers (worker, host, pid, device, engine, models, version)
            VALUES ('w{n}', 'h', 1, 'cpu', 'canned', '{{base}}', '1');
    """,
    "metadata": """
        INSERT INTO enrichments (job_id, owner_id, attempt, state)
            VALUES (gen_random_uuid(), gen_random_uuid(), 1, 'done');
        INSERT INTO inbox (consumer, event_id) VALUES ('metadata', gen_random_uuid());
        INSERT INTO outbox (message_id, exchange, routing_key, message_type, correlation_id, body)
            VALUES (gen_random_uuid(), 'events', 'metadata.enriched.v1', 'metadata.enriched.v1', 'c', '{{}}');
    """,
}


@dataclass(frozen=True)
class Column:
    """What matters about a column to somebody who does not know of it."""

    kind: str
    required: bool
    filled: bool


@dataclass(frozen=True)
class Schema:
    """What code can rely on: columns, and what rows must fulfil."""

    columns: dict[tuple[str, str], Column] = field(default_factory=dict)
    rules: dict[tuple[str, str], tuple[str, frozenset[str]]] = field(default_factory=dict)

    @property
    def tables(self) -> set[str]:
        return {table for table, _ in self.columns}


COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS kind, a.attnotnull AS required,
           a.atthasdef OR a.attidentity <> '' AS filled
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      AND c.relname <> 'alembic_version'
"""
RULES = """
    SELECT c.relname, k.conname AS name, pg_get_constraintdef(k.oid) AS rule,
           ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = ANY (k.conkey)) AS columns
    FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND k.contype IN ('c', 'f', 'p', 'u', 'x')
    UNION
    SELECT c.relname, i.relname, pg_get_indexdef(i.oid),
           ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = ANY (x.indkey))
    FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indrelid JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND x.indisunique
"""


def harm(before: Schema, after: Schema) -> Iterator[str]:
    """What a step takes from code that knows only the schema before it."""
    yield from (f"table {table} is gone" for table in before.tables - after.tables)
    kept = before.tables & after.tables
    for (table, name), old in before.columns.items():
        if table in kept:
            yield from _changed(f"column {table}.{name}", old, after.columns.get((table, name)))
    for (table, name), new in after.columns.items():
        if table in kept and (table, name) not in before.columns and new.required and not new.filled:
            yield f"new column {table}.{name} is required and has no default"
    for (table, name), (rule, columns) in after.rules.items():
        known = {column for owner, column in before.columns if owner == table}
        # A rule about new columns alone is no concern of who does not write them.
        if table in kept and before.rules.get((table, name), ("", None))[0] != rule and columns & known:
            yield f"rule {table}.{name}: {rule}"


def _changed(what: str, old: Column, new: Column | None) -> Iterator[str]:
    if new is None:
        yield f"{what} is gone"
    elif new.kind != old.kind:
        yield f"{what} is {new.kind} and was {old.kind}"
    elif new.required and not new.filled and (old.filled or not old.required):
        yield f"{what} is required"


@pytest.fixture
def url(db_url: str) -> str:
    """The database as asyncpg wants it named."""
    return db_url.replace("postgresql+asyncpg", "postgresql")


async def schema(url: str) -> Schema:
    connection = await asyncpg.connect(url)
    try:
        columns = {
            (row["relname"], row["attname"]): Column(row["kind"], row["required"], row["filled"])
            for row in await connection.fetch(COLUMNS)
        }
        rules = {
            (row["relname"], row["name"]): (row["rule"], frozenset(row["columns"]))
            for row in await connection.fetch(RULES)
        }
    finally:
        await connection.close()
    return Schema(columns, rules)


async def write(url: str, service: str, number: int) -> dict[str, int]:
    """Write what the first release wrote; return how many rows each of its tables has then."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(WRITTEN[service].format(n=number))
        return await rows(connection, service)
    finally:
        await connection.close()


async def rows(connection: Any, service: str) -> dict[str, int]:
    tables = {line.split()[2] for line in WRITTEN[service].splitlines() if line.strip().startswith("INSERT")}
    return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in sorted(tables)}


@pytest.mark.parametrize(("service", "before", "after"), STEPS)
async def test_step_takes_nothing_from_the_release_before(
    db_url: str, url: str, service: str, before: str | None, after: str
) -> None:
    migrations = f"{service}.migrations"
    if before:
        await asyncio.to_thread(database.migrate, db_url, migrations, to=before)
    old = await schema(url)
    await asyncio.to_thread(database.migrate, db_url, migrations, to=after)
    taken = set(harm(old, await schema(url)))
    agreed = {what for revision, what in AGREED if revision == after}
    assert taken - agreed == set(), f"{service} {after} breaks services of the release before"
    assert agreed - taken == set(), "what is agreed to does not happen"


@pytest.mark.parametrize(("service", "revision"), HEADS)
async def test_data_of_every_earlier_schema_comes_along(db_url: str, url: str, service: str, revision: str) -> None:
    migrations = f"{service}.migrations"
    await asyncio.to_thread(database.migrate, db_url, migrations, to=revision)
    written = await write(url, service, 1)
    await asyncio.to_thread(database.migrate, db_url, migrations)
    assert await write(url, service, 2) == {table: 2 * count for table, count in written.items()}


def test_what_is_agreed_to_is_part_of_a_history() -> None:
    known = {revision for service in SERVICES for revision in database.revisions(f"{service}.migrations")}
    assert {revision for revision, _ in AGREED} <= known
    assert all(reason.endswith(".") for reason in AGREED.values())


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER TABLE t DROP COLUMN b", "column t.b is gone"),
        ("ALTER TABLE t RENAME COLUMN b TO c", "column t.b is gone"),
        ("DROP TABLE t", "table t is gone"),
        ("ALTER TABLE t ALTER COLUMN a TYPE bigint", "column t.a is bigint and was integer"),
        ("ALTER TABLE t ALTER COLUMN b SET NOT NULL", "column t.b is required"),
        ("ALTER TABLE t ALTER COLUMN d DROP DEFAULT", "column t.d is required"),
        ("ALTER TABLE t ADD COLUMN e int NOT NULL", "new column t.e is required and has no default"),
        ("ALTER TABLE t ADD CHECK (a > 0)", "rule t.t_a_check: CHECK ((a > 0))"),
        ("CREATE UNIQUE INDEX i ON t (a)", "rule t.i: CREATE UNIQUE INDEX i ON "),
        ("ALTER TABLE t ADD COLUMN e int NOT NULL DEFAULT 1 CHECK (e > 0)", None),
        ("CREATE TABLE u (a int NOT NULL)", None),
        ("CREATE INDEX i ON t (a)", None),
    ],
)
async def test_harm_is_found(url: str, statement: str, found: str | None) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE t (a int, b text, d int NOT NULL DEFAULT 1); CREATE TABLE other (a int)")
    before = await schema(url)
    await connection.execute(statement)
    await connection.close()
    assert [what[: len(found or "")] for what in harm(before, await schema(url))] == ([found] if found else [])
