"""Tables out of and into a schema, as PostgreSQL's own COPY text, which no version of it fails to read."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

# What lives only as long as the processes that wrote it, and keys that never leave their database: auth makes new
# ones at its start, and sessions are refreshed.
LEFT_OUT: Final = {("jobs", "workers"), ("jobs", "uploads_begun"), ("auth", "signing_keys")}

_PART: Final = 8 * 1024 * 1024

# Those that others refer to come first; a table may refer to itself.
_TABLES: Final = """
    WITH RECURSIVE own AS (
        SELECT oid, relname FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
    ), depth AS (
        SELECT oid, relname, 0 AS level FROM own
        UNION ALL
        SELECT own.oid, own.relname, depth.level + 1
        FROM own JOIN pg_constraint AS refers ON refers.conrelid = own.oid AND refers.contype = 'f'
                 JOIN depth ON depth.oid = refers.confrelid AND depth.oid <> own.oid
    )
    SELECT relname::text AS name,
           (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = depth.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns
    FROM depth GROUP BY oid, relname ORDER BY max(level), relname
"""
_SEQUENCES: Final = """
    SELECT c.relname::text AS table, a.attname::text AS column,
           pg_get_serial_sequence(quote_ident(c.relname), a.attname) AS sequence
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attidentity <> ''
"""


async def tables(connection: Any, service: str) -> list[dict[str, Any]]:
    """Name and columns of the tables to keep, in the order in which they can be filled."""
    found = await connection.fetch(_TABLES)
    return [{"name": row["name"], "columns": row["columns"]} for row in found if (service, row["name"]) not in LEFT_OUT]


async def dump(connection: Any, table: str, columns: list[str], write: Callable[[bytes], None]) -> int:
    """Hand a table's rows to `write` in parts of about 8 MiB; return how many rows there are."""
    held = bytearray()

    async def take(data: bytes) -> None:
        held.extend(data)
        if len(held) >= _PART:
            write(bytes(held))
            held.clear()

    query = f"SELECT {_list(columns)} FROM {_quoted(table)}"  # noqa: S608 (names from the catalogue, quoted)
    status = await connection.copy_from_query(query, output=take)
    if held:
        write(bytes(held))
    return int(status.rpartition(" ")[2])


async def load(connection: Any, table: str, columns: list[str], parts: Iterable[bytes]) -> None:
    """Fill a table."""

    async def blocks() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    await connection.copy_to_table(table, source=blocks(), columns=columns)


async def clear(connection: Any) -> None:
    """Remove the rows that migrations wrote."""
    names = [row["name"] for row in await connection.fetch(_TABLES)]
    await connection.execute(f"TRUNCATE {_list(names)}")


async def is_empty(connection: Any) -> bool:
    """Whether the schema has no table at all."""
    return not await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r')"
    )


async def sequences(connection: Any) -> dict[str, int]:
    """How far the numbers of identity columns have come, as `table.column`."""
    reached = {}
    for row in await connection.fetch(_SEQUENCES):
        state = f"SELECT last_value, is_called FROM {row['sequence']}"  # noqa: S608 (quoted by the server)
        last, called = await connection.fetchrow(state)
        if called:
            reached[f"{row['table']}.{row['column']}"] = last
    return reached


async def go_on_counting(connection: Any, reached: dict[str, int]) -> None:
    """Let identity columns go on behind the numbers that were reached."""
    for row in await connection.fetch(_SEQUENCES):
        last = reached.get(f"{row['table']}.{row['column']}")
        if last is not None:
            await connection.execute("SELECT setval($1::regclass, $2)", row["sequence"], last)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(names: Iterable[str]) -> str:
    return ", ".join(_quoted(name) for name in names)
