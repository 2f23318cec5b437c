"""Events of the auth service about accounts."""

from uuid import UUID

from .base import Event


class UserDeleted(Event):
    """An account was deleted; everything that it owns must be deleted too."""

    routing_key = "user.deleted.v1"
    user_id: UUID
    deleted_by: UUID
