"""Facts that the auth service tells about accounts."""

from uuid import UUID

from .base import Event


class UserDeleted(Event):
    """An account is gone for good, and everything that it owns must go too."""

    routing_key = "user.deleted.v1"
    user_id: UUID
    deleted_by: UUID
