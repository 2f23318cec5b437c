"""Everything from the beginning: what an administrator orders, and what of it cleanup does itself."""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import ResetRequested, keys
from common.messaging import outbox
from common.storage import ObjectStore

from .errors import NotConfirmed
from .repository import wake_sweepers
from .sweeps import job_of_folder
from .tables import ResetOrder

log = structlog.get_logger(__name__)

JOBS = "delete all jobs"
JOBS_AND_USERS = "delete all jobs and users"


class NewReset(BaseModel):
    """What is to go, and the phrase that shows that this is meant."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"confirmation": JOBS}, {"confirmation": JOBS_AND_USERS, "users": True}]},
    )

    confirmation: str = Field(max_length=100, description=f"Exactly: {JOBS}. With users: {JOBS_AND_USERS}.")
    users: bool = Field(default=False, description="Delete all accounts, too, but for the one that asks.")


_EXAMPLE: dict[str, Any] = {
    "requested_at": "2026-01-31T12:00:00Z",
    "requested_by": "d4c1a2b3-0f5e-4b6a-8c7d-9e0f1a2b3c4d",
    "users": False,
    "uploads": 2,
}


class ResetView(BaseModel):
    """What was set in motion."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    requested_at: datetime = Field(description="Jobs created up to this moment are deleted, everywhere, in a while.")
    requested_by: UUID
    users: bool
    uploads: int = Field(description="Resumable uploads that are given up.")


class Reset:
    """Orders a reset inside the transaction of the caller."""

    def __init__(self, session: AsyncSession, store: ObjectStore) -> None:
        """Work in the given session; the caller commits."""
        self._session = session
        self._store = store

    async def order(self, new: NewReset, by: UUID) -> ResetView:
        """Set it in motion; raises NotConfirmed."""
        expected = JOBS_AND_USERS if new.users else JOBS
        if new.confirmation != expected:
            raise NotConfirmed(f"To do this, send the confirmation: {expected}", expected=expected)
        # Named now, so that an upload begun later stays, however late the sweeper comes to it.
        uploads = [each async for name in self._store.folders(keys.RESUMABLE) if (each := job_of_folder(name))]
        event = ResetRequested(requested_by=by, users=new.users)
        outbox.add(self._session, event)
        view = ResetView(requested_at=event.occurred_at, requested_by=by, users=new.users, uploads=len(uploads))
        self._session.add(ResetOrder(**view.model_dump() | {"uploads": uploads}))
        wake_sweepers(self._session)
        log.warning("reset requested", by=str(by), users=new.users, uploads=len(uploads))
        return view
