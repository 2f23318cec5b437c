"""Queries on the chunk ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnClause, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import ChunkOrigin, ChunkPlanned, ChunkTranscribed
from jobs.tables import Chunk

from .jsonb import sanitized

# A row that this statement inserted has no deleting transaction; one that it updated has.
_INSERTED: ColumnClause[bool] = literal_column("(chunks.xmax = 0)")

# A chunk's result is a pure function of its audio, the model and the options: the same plan of the same recording under
# the same options gives the same result.
_REUSE = text("""
    UPDATE chunks
    SET state = 'done', done_at = now(), result_key = prior.result_key, result_sha256 = prior.result_sha256,
        text = prior.text, segments = prior.segments, decode_seconds = 0, worker = prior.worker,
        deliveries = prior.deliveries,
        reused_from = coalesce(prior.reused_from, prior.attempt)
    FROM (
        SELECT done.* FROM chunks AS done
        JOIN past_attempts AS past ON past.job_id = done.job_id AND past.attempt = done.attempt
        JOIN jobs ON jobs.id = done.job_id AND jobs.options = past.options
        WHERE done.job_id = :job_id AND done.attempt < :attempt AND done.chunk = :chunk AND done.state = 'done'
          AND done.start_seconds = :start_seconds AND done.end_seconds = :end_seconds
          AND done.windows = :windows AND done.language = :language
        ORDER BY done.attempt DESC LIMIT 1
    ) AS prior
    WHERE chunks.job_id = :job_id AND chunks.attempt = :attempt AND chunks.chunk = :chunk AND chunks.state = 'planned'
    RETURNING chunks.seconds
""")


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A written row: whether it is new, its seconds, and the number of repeated dispatches of its work."""

    new: bool
    seconds: float
    repeated: int


class LedgerRepository:
    """Reads and writes ledger rows; callers lock the job first, so that rows have no lock conflicts."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def plan(self, event: ChunkPlanned) -> LedgerRow | None:
        """Write the plan of a chunk; None if it was planned before."""
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

    async def finish(self, event: ChunkTranscribed) -> LedgerRow | None:
        """Write the result of a chunk; None if it was done before."""
        result = {
            "state": "done",
            "done_at": func.now(),
            "result_key": event.result_key,
            "result_sha256": event.result_sha256,
            "text": sanitized(event.text),
            "segments": sanitized([segment.model_dump() for segment in event.segments]),
            "decode_seconds": event.decode_seconds,
            "worker": event.worker,
            "deliveries": event.deliveries,
        }
        statement = self._insert(event, seconds=event.audio_seconds, **result)
        return await self._upsert(
            statement.on_conflict_do_update(
                index_elements=[Chunk.job_id, Chunk.attempt, Chunk.chunk], set_=result, where=Chunk.state != "done"
            )
        )

    async def reuse(self, event: ChunkPlanned) -> float | None:
        """Finish a planned chunk with the result of an earlier attempt; return its seconds, None without a result.

        The earlier attempt must have had the same options and the same plan for this chunk.
        """
        statement = _REUSE.bindparams(
            **event.model_dump(
                include={"job_id", "attempt", "chunk", "start_seconds", "end_seconds", "windows", "language"}
            )
        )
        seconds: float | None = await self._session.scalar(statement)
        return seconds

    async def rows(self, job_id: UUID, attempt: int) -> Sequence[Chunk]:
        """Return all rows of an attempt, in the order of the recording."""
        query = select(Chunk).where(Chunk.job_id == job_id, Chunk.attempt == attempt).order_by(Chunk.chunk)
        return (await self._session.scalars(query)).all()

    async def texts(self, job_id: UUID, attempt: int) -> Sequence[str]:
        """Return the texts of an attempt, chunk by chunk."""
        query = select(Chunk.text).where(Chunk.job_id == job_id, Chunk.attempt == attempt).order_by(Chunk.chunk)
        return [spoken for spoken in await self._session.scalars(query) if spoken]

    async def get(self, job_id: UUID, attempt: int, chunk: int) -> Chunk | None:
        """Return one row."""
        return await self._session.get(Chunk, (job_id, attempt, chunk), populate_existing=True)

    async def results(self, job_id: UUID, attempt: int) -> tuple[list[str], list[ChunkOrigin]]:
        """Return the object keys of the attempt's results, and their origins, in the order of the recording."""
        query = (
            select(
                Chunk.chunk, Chunk.attempt, Chunk.reused_from, Chunk.worker, Chunk.deliveries, Chunk.result_sha256,
                Chunk.result_key,
            )
            .where(Chunk.job_id == job_id, Chunk.attempt == attempt, Chunk.result_key.is_not(None))
            .order_by(Chunk.chunk)
        )  # fmt: skip
        rows = (await self._session.execute(query)).all()
        origins = [
            ChunkOrigin(
                chunk=row.chunk,
                attempt=row.reused_from or row.attempt,
                worker=row.worker,
                deliveries=row.deliveries,
                result_sha256=row.result_sha256,
            )
            for row in rows
            if row.result_sha256 is not None
        ]
        return [row.result_key for row in rows], origins

    @staticmethod
    def _insert(event: ChunkPlanned | ChunkTranscribed, **values: Any) -> Insert:
        return insert(Chunk).values(job_id=event.job_id, attempt=event.attempt, chunk=event.chunk, **values)

    async def _upsert(self, statement: Insert) -> LedgerRow | None:
        wanted = statement.returning(_INSERTED, Chunk.seconds, Chunk.dispatches)
        row = (await self._session.execute(wanted)).one_or_none()
        return None if row is None else LedgerRow(bool(row[0]), float(row[1]), max(0, row[2] - 1))
