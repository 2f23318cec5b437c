"""Known jobs, suspected uploads and resets."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from cleanup.tables import Catalogue, KnownJob, ResetOrder, State, Suspect
from common.database import notify

CHANNEL = "deletions"
_ENDED = (State.COMPLETED, State.FAILED, State.CANCELLED)


def wake_sweepers(session: AsyncSession) -> None:
    """Notify the sweeper of every replica when the transaction commits."""
    notify(session, CHANNEL)


class JobRepository:
    """Known jobs in the transaction of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put_created(
        self, job_id: UUID, owner_id: UUID, created_at: datetime, file_name: str | None = None
    ) -> None:
        """Store that a job exists; values of later events stay."""
        known = {"created_at": created_at, "file_name": file_name}
        statement = insert(KnownJob).values(job_id=job_id, owner_id=owner_id, state=State.LIVE, **known)
        await self._session.execute(statement.on_conflict_do_update(index_elements=[KnownJob.job_id], set_=known))

    async def put_live(self, job_id: UUID, owner_id: UUID, attempt: int, at: datetime) -> None:
        """Store that an attempt has started: the job is live again, unless it is deleted."""
        statement = insert(KnownJob).values(
            job_id=job_id, owner_id=owner_id, attempt=attempt, state=State.LIVE, created_at=at
        )
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[KnownJob.job_id],
                set_={"attempt": attempt, "state": State.LIVE, "finished_at": None, "expired_at": None},
                where=(KnownJob.state != State.DELETED) & (KnownJob.attempt < attempt),
            )
        )

    async def put_ended(self, job_id: UUID, owner_id: UUID, attempt: int, state: State, at: datetime) -> None:
        """Store how an attempt ended, unless the job is deleted or a later attempt is known."""
        statement = insert(KnownJob).values(
            job_id=job_id, owner_id=owner_id, attempt=attempt, state=state, created_at=at, finished_at=at
        )
        ended: dict[str, Any] = {name: statement.excluded[name] for name in ("attempt", "state", "finished_at")}
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[KnownJob.job_id],
                set_={**ended, "chunk_audio_dropped_at": None, "expired_at": None},
                where=(KnownJob.state != State.DELETED) & (KnownJob.attempt <= statement.excluded.attempt),
            )
        )

    async def put_deleted(self, job_id: UUID, owner_id: UUID, at: datetime) -> None:
        """Turn the row into a tombstone that is due at once, and notify the sweepers."""
        gone: dict[str, Any] = {"state": State.DELETED, "deleted_at": func.now(), "look_again_at": func.now()}
        statement = insert(KnownJob).values(job_id=job_id, owner_id=owner_id, created_at=at, **gone)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=[KnownJob.job_id], set_={**gone, "emptied_at": None})
        )
        wake_sweepers(self._session)

    async def due_tombstones(self, limit: int) -> Sequence[UUID]:
        """Deleted jobs whose objects are due to be listed."""
        due = (KnownJob.state == State.DELETED) & KnownJob.emptied_at.is_(None) & (KnownJob.look_again_at <= func.now())
        query = select(KnownJob.job_id).where(due).order_by(KnownJob.look_again_at).limit(limit)
        return (await self._session.scalars(query)).all()

    async def look_again(self, job_id: UUID, delay: timedelta) -> None:
        """Make a tombstone due again after a delay."""
        await self._update(job_id, KnownJob.state == State.DELETED, look_again_at=func.now() + delay)

    async def mark_emptied(self, job_id: UUID, after: timedelta) -> bool:
        """Close a tombstone without objects, unless it is younger than `after`; returns whether it is closed."""
        old_enough = KnownJob.deleted_at <= func.now() - after
        return await self._update(job_id, (KnownJob.state == State.DELETED) & old_enough, emptied_at=func.now())

    async def reopen(self, job_ids: Collection[UUID]) -> int:
        """Open closed tombstones again whose jobs have objects; return how many."""
        closed = KnownJob.job_id.in_(job_ids) & (KnownJob.state == State.DELETED) & KnownJob.emptied_at.is_not(None)
        statement = update(KnownJob).where(closed).values(emptied_at=None, look_again_at=func.now())
        return len((await self._session.scalars(statement.returning(KnownJob.job_id))).all())

    async def with_chunk_audio(self, grace: timedelta, limit: int) -> Sequence[tuple[UUID, int]]:
        """Completed jobs whose chunk audio is due for deletion, with the attempt that completed them."""
        due = KnownJob.finished_at < func.now() - grace
        query = (
            select(KnownJob.job_id, KnownJob.attempt)
            .where(KnownJob.state == State.COMPLETED, KnownJob.chunk_audio_dropped_at.is_(None), due)
            .order_by(KnownJob.finished_at)
            .limit(limit)
        )
        return [(job_id, attempt) for job_id, attempt in await self._session.execute(query)]

    async def mark_chunk_audio_dropped(self, job_id: UUID, attempt: int) -> None:
        """Store that the chunk audio up to this attempt is deleted."""
        await self._update(job_id, KnownJob.attempt == attempt, chunk_audio_dropped_at=func.now())

    async def take_expired(self, retention: timedelta, repeat: timedelta, limit: int) -> Sequence[KnownJob]:
        """Finished jobs past the retention that were not published within `repeat`; marks them as published."""
        expired = KnownJob.state.in_(_ENDED) & (KnownJob.finished_at < func.now() - retention)
        unpublished = or_(KnownJob.expired_at.is_(None), KnownJob.expired_at < func.now() - repeat)
        due = select(KnownJob.job_id).where(expired, unpublished).order_by(KnownJob.finished_at).limit(limit)
        statement = (
            update(KnownJob)
            .where(KnownJob.job_id.in_(due.with_for_update(skip_locked=True)))
            .values(expired_at=func.now())
            .returning(KnownJob)
        )
        return (await self._session.scalars(statement)).all()

    async def known(self, job_ids: Collection[UUID]) -> dict[UUID, KnownJob]:
        """The jobs that are known, by id."""
        rows = await self._session.scalars(select(KnownJob).where(KnownJob.job_id.in_(job_ids)))
        return {job.job_id: job for job in rows}

    async def owned(self, owner_id: UUID) -> Sequence[UUID]:
        """The owner's jobs that are not deleted."""
        query = select(KnownJob.job_id).where(KnownJob.owner_id == owner_id, KnownJob.state != State.DELETED)
        return (await self._session.scalars(query)).all()

    async def lock(self, job_id: UUID) -> KnownJob | None:
        """The row of the job, locked until the transaction ends."""
        return await self._session.scalar(select(KnownJob).where(KnownJob.job_id == job_id).with_for_update())

    async def states(self, job_ids: Collection[UUID]) -> dict[UUID, str]:
        """The states of the jobs that are known, by id."""
        query = select(KnownJob.job_id, KnownJob.state).where(KnownJob.job_id.in_(job_ids))
        return {job_id: state for job_id, state in await self._session.execute(query)}  # noqa: C416 (rows to pairs)

    async def _update(self, job_id: UUID, condition: ColumnElement[bool], **values: Any) -> bool:
        statement = update(KnownJob).where(KnownJob.job_id == job_id, condition).values(values)
        return await self._session.scalar(statement.returning(KnownJob.job_id)) is not None


class ResetRepository:
    """Resets in the transaction of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def first_unfinished(self) -> ResetOrder | None:
        """The oldest reset whose uploads may not be aborted yet."""
        query = select(ResetOrder).where(ResetOrder.done_at.is_(None)).order_by(ResetOrder.id).limit(1)
        return await self._session.scalar(query)

    async def finish(self, reset_id: int) -> None:
        """Store that the uploads of a reset are aborted."""
        await self._session.execute(update(ResetOrder).where(ResetOrder.id == reset_id).values(done_at=func.now()))


class SuspectRepository:
    """Uploads without a known job, in the transaction of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def catalogue_since(self) -> datetime:
        """The time since which this schema receives events about jobs."""
        since: datetime = (await self._session.scalars(select(Catalogue.since))).one()
        return since

    async def see(self, job_ids: Collection[UUID]) -> None:
        """Store when each of these was first seen."""
        if job_ids:
            rows = [{"job_id": job_id} for job_id in job_ids]
            await self._session.execute(insert(Suspect).values(rows).on_conflict_do_nothing())

    async def clear(self, job_ids: Collection[UUID]) -> None:
        """Delete the suspicion about these."""
        await self._session.execute(delete(Suspect).where(Suspect.job_id.in_(job_ids)))

    async def clear_known(self) -> None:
        """Delete the suspicion about uploads whose job is known meanwhile."""
        await self._session.execute(delete(Suspect).where(Suspect.job_id.in_(select(KnownJob.job_id))))

    async def seen_for(self, age: timedelta, limit: int) -> Sequence[UUID]:
        """Uploads first seen longer ago than `age`, oldest first."""
        old = Suspect.first_seen_at <= func.now() - age
        return (
            await self._session.scalars(select(Suspect.job_id).where(old).order_by(Suspect.first_seen_at).limit(limit))
        ).all()
