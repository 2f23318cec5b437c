"""Notices of the auth service to the gateways."""

from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from .base import Notice


class AccessRevoked(Notice):
    """Tokens of these sessions or API keys, or a user's tokens below a generation, are revoked."""

    name = "control.access_revoked"
    session_ids: list[UUID] = Field(default_factory=list)
    user_id: UUID | None = None
    generation: int | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.user_id is None) != (self.generation is None):
            raise ValueError("user_id and generation must be set together")
        return self
