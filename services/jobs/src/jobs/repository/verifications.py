"""Queries on verifications."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import Verification

_SHOWN = 50


class VerificationRepository:
    """Reads and writes verifications."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, **values: Any) -> Verification:
        """Insert a verification and return it."""
        row = Verification(**values)
        self._session.add(row)
        await self._session.flush()
        await self._session.refresh(row)
        return row

    async def of_job(self, job_id: UUID) -> Sequence[Verification]:
        """Return a job's verifications, the newest first."""
        query = select(Verification).where(Verification.job_id == job_id)
        return (await self._session.scalars(query.order_by(Verification.created_at.desc()).limit(_SHOWN))).all()

    async def get(self, job_id: UUID, verification_id: UUID) -> Verification | None:
        """Return a job's verification."""
        query = select(Verification).where(Verification.id == verification_id, Verification.job_id == job_id)
        return await self._session.scalar(query)

    async def running(self, job_id: UUID) -> Verification | None:
        """Return the job's running verification."""
        query = select(Verification).where(Verification.job_id == job_id, Verification.finished_at.is_(None)).limit(1)
        return await self._session.scalar(query)

    async def lock(self, verification_id: UUID) -> Verification | None:
        """Return a verification, locked until the transaction ends."""
        query = select(Verification).where(Verification.id == verification_id).with_for_update()
        return await self._session.scalar(query, execution_options={"populate_existing": True})

    async def overdue(self, after: timedelta) -> Sequence[Verification]:
        """Return verifications that have run longer than this, locked."""
        query = select(Verification).where(
            Verification.finished_at.is_(None), Verification.created_at < func.now() - after
        )
        return (await self._session.scalars(query.limit(100).with_for_update(skip_locked=True))).all()

    async def write(self, row: Verification, checks: list[dict[str, Any]], *, over: bool) -> None:
        """Replace the checks of a locked verification, and end it if it is over."""
        row.checks = checks
        if over:
            row.finished_at = await self._session.scalar(select(func.now()))
        await self._session.flush()
