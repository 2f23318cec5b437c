"""Events of the cleanup service about retention and reset."""

from uuid import UUID

from pydantic import AwareDatetime

from .base import Event


class JobExpired(Event):
    """A finished job is older than the retention time and should be deleted."""

    routing_key = "job.expired.v1"
    job_id: UUID
    owner_id: UUID
    finished_at: AwareDatetime


class ResetRequested(Event):
    """An administrator requested the deletion of every job that existed at this time, with all its data.

    With `users` every account is deleted as well, except the administrator's.
    """

    routing_key = "reset.requested.v1"
    requested_by: UUID
    users: bool = False
