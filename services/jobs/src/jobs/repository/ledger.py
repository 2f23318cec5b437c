"""Queries on the chunk ledger."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnClause, func, literal_column, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import ChunkPlanned, ChunkTranscribed
from jobs.storable import storable
from jobs.tables import Chunk

# A row that this statement inserted has no deleting transaction; one that it updated has.
_INSERTED: ColumnClause[bool] = literal_column("(chunks.xmax = 0)")


class LedgerRepository:
    """Reads and writes ledger lines; the job is locked first, always, so that lines are never fought over."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def plan(self, event: ChunkPlanned) -> tuple[bool, float] | None:
        """Write the plan of a chunk; return (the line is new, its seconds), or None if it was planned before."""
        where = {
            "start_seconds": event.start_seconds,
            "end_seconds": event.end_seconds,
            "windows": event.windows,
            "language": event.language,
        }
        statement = self._insert(event, seconds=event.speech_seconds, **where)
        return await self._upsert(
            statement.on_conflict_do_update(
                index_elements=[Chunk.job_id, Chunk.attempt, Chunk.chunk],
                set_=where,
                where=Chunk.start_seconds.is_(None),
            )
        )

    async def finish(self, event: ChunkTranscribed) -> tuple[bool, float] | None:
        """Write the result of a chunk; return (the line is new, its seconds), or None if it was done before."""
        result = {
            "state": "done",
            "done_at": func.now(),
            "result_key": event.result_key,
            "result_sha256": event.result_sha256,
            "text": storable(event.text),
            "decode_seconds": event.decode_seconds,
            "worker": event.worker,
        }
        statement = self._insert(event, seconds=event.audio_seconds, **result)
        return await self._upsert(
            statement.on_conflict_do_update(
                index_elements=[Chunk.job_id, Chunk.attempt, Chunk.chunk], set_=result, where=Chunk.state != "done"
            )
        )

    async def get(self, job_id: UUID, attempt: int, chunk: int) -> Chunk | None:
        """Return one line."""
        return await self._session.get(Chunk, (job_id, attempt, chunk), populate_existing=True)

    async def result_keys(self, job_id: UUID, attempt: int) -> Sequence[str]:
        """Return where the results of the attempt are, in the order of the recording."""
        query = (
            select(Chunk.result_key)
            .where(Chunk.job_id == job_id, Chunk.attempt == attempt, Chunk.result_key.is_not(None))
            .order_by(Chunk.chunk)
        )
        return [key for key in await self._session.scalars(query) if key is not None]

    @staticmethod
    def _insert(event: ChunkPlanned | ChunkTranscribed, **values: Any) -> Insert:
        return insert(Chunk).values(job_id=event.job_id, attempt=event.attempt, chunk=event.chunk, **values)

    async def _upsert(self, statement: Insert) -> tuple[bool, float] | None:
        row = (await self._session.execute(statement.returning(_INSERTED, Chunk.seconds))).one_or_none()
        return None if row is None else (bool(row[0]), float(row[1]))
