"""Work that waits in a table and is taken under a lease; every time is the database's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import ring

from .tables import Leased, State

RowT = TypeVar("RowT", bound=Leased)


@dataclass(frozen=True, slots=True)
class Claim:
    """A row in a worker's hands; attempt and tries together are its fencing token."""

    job_id: UUID
    attempt: int
    tries: int
    transcript_key: str
    correlation_id: str | None
    traceparent: str | None


class LeaseRepository(Generic[RowT]):
    """The rows of one such table within the caller's transaction."""

    table: type[RowT]
    channel: ClassVar[str]

    def __init__(self, session: AsyncSession) -> None:
        """Work in the given session; the caller commits."""
        self._session = session

    def wake(self) -> None:
        """Ring for the workers of this table, at the commit."""
        ring(self._session, self.channel)

    async def claim(self, lease: timedelta) -> Claim | None:
        """Take the work that waits longest; it is another worker's again when the lease runs out."""
        due = (
            select(self.table.job_id)
            .where(self.table.state == State.PENDING, self.table.available_at <= func.now())
            .order_by(self.table.available_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(self.table)
            .where(self.table.job_id == due.scalar_subquery())
            .values(tries=self.table.tries + 1, available_at=func.now() + lease)
            .returning(self.table)
        )
        row = await self._session.scalar(statement)
        if row is None:
            return None
        assert row.transcript_key is not None  # only a row without a transcript has none, and it is not pending
        return Claim(row.job_id, row.attempt, row.tries, row.transcript_key, row.correlation_id, row.traceparent)

    async def renew(self, claim: Claim, lease: timedelta) -> None:
        """Keep the work for longer, if the claim still holds."""
        await self._session.execute(
            update(self.table).where(*self._held(claim)).values(available_at=func.now() + lease)
        )

    async def lock(self, claim: Claim) -> bool:
        """Tell whether the claim still holds, and keep it so until the end of the transaction."""
        query = select(self.table.job_id).where(*self._held(claim)).with_for_update()
        return await self._session.scalar(query) is not None

    async def finish(self, claim: Claim, state: State, **columns: Any) -> None:
        """End the work under a claim that lock() confirmed."""
        values: dict[str, Any] = {**columns, "state": state, "finished_at": func.now()}
        await self._session.execute(update(self.table).where(*self._held(claim)).values(values))

    async def postpone(self, claim: Claim, delay: timedelta, reason: str) -> None:
        """Leave the work for later, if the claim still holds."""
        statement = update(self.table).where(*self._held(claim))
        await self._session.execute(statement.values(available_at=func.now() + delay, reason=reason))

    async def give_back(self, claim: Claim) -> None:
        """Undo the claim: nothing was tried."""
        statement = update(self.table).where(*self._held(claim))
        await self._session.execute(statement.values(available_at=func.now(), tries=self.table.tries - 1))
        self.wake()

    async def oldest_pending_seconds(self) -> float:
        """Age of the oldest unfinished work; 0 if there is none."""
        age = func.extract("epoch", func.now() - func.min(self.table.created_at))
        return float(await self._session.scalar(select(age).where(self.table.state == State.PENDING)) or 0.0)

    def _held(self, claim: Claim) -> Sequence[Any]:
        return (
            self.table.job_id == claim.job_id,
            self.table.state == State.PENDING,
            self.table.attempt == claim.attempt,
            self.table.tries == claim.tries,
        )
