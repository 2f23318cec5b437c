"""Bodies of the internal operations, which only the gateway may call."""

from uuid import UUID

from pydantic import BaseModel, Field, SecretStr


class KeyExchange(BaseModel):
    """An API key to exchange for a short access token."""

    key: SecretStr = Field(min_length=1, max_length=200)


class KeyToken(BaseModel):
    """The access token for an API key; `expires_in` is in seconds."""

    access_token: str
    expires_in: int


class AccessClaims(BaseModel):
    """The claims of a verified access token by which it can be revoked."""

    user_id: UUID
    session_id: UUID | None = None
    generation: int = Field(ge=0, lt=2**31)


class UserGeneration(BaseModel):
    """The current generation of a user: tokens of earlier generations are void."""

    user_id: UUID
    generation: int


class Revocations(BaseModel):
    """The revocations so recent that their tokens may not have expired yet.

    A client may forget a revocation after `remember_seconds`.
    """

    session_ids: list[UUID]
    users: list[UserGeneration]
    remember_seconds: int
