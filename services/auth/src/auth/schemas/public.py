"""Bodies of the public operations."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, SecretStr, model_validator

from auth.access.grants import Granted
from auth.accounts.management import Role
from auth.credentials.names import proper, storable
from auth.credentials.rules import MAX_LENGTH
from auth.tables import ApiKey, Session

USER_ID = "0d9a4f2e-51c7-4f0e-8a34-6f1f3a2b9c77"
KEY_ID = "7c1a52f4-8b1f-4a0a-9a39-3f6f0d2a55c1"
CREATED = "2026-11-22T12:00:00Z"

Username = Annotated[str, Field(min_length=1, max_length=150), AfterValidator(storable)]
NewUsername = Annotated[str, Field(min_length=1, max_length=150, examples=["ada"]), AfterValidator(proper)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_LENGTH)]
Scope = Literal["read", "write", "admin"]


class TokenForm(BaseModel):
    """The OAuth2 forms for a password (RFC 6749 §4.3.2) and for a refresh token (§6)."""

    grant_type: Literal["password", "refresh_token"] = "password"
    username: Username | None = Field(default=None, examples=["admin"])
    password: Password | None = None
    refresh_token: SecretStr | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.grant_type == "password" and (self.username is None or self.password is None):
            raise ValueError("username and password are required")
        if self.grant_type == "refresh_token" and self.refresh_token is None:
            raise ValueError("refresh_token is required")
        return self


class RefreshRequest(BaseModel):
    """The refresh token of the pair that was issued last."""

    refresh_token: SecretStr = Field(min_length=1, max_length=200, examples=["vr_3q2-7wAAAA…"])


class LogoutRequest(BaseModel):
    """A refresh token of the session to end, for clients whose access token has expired."""

    refresh_token: SecretStr | None = Field(default=None, min_length=1, max_length=200, examples=["vr_3q2-7wAAAA…"])


class Token(BaseModel):
    """An access token, and the single-use refresh token for the next pair; times are in seconds.

    With `password_change_required` the access token permits only PUT /me/password; refresh the pair afterwards.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "eyJ…",
                    "token_type": "bearer",
                    "expires_in": 3600,
                    "refresh_token": "vr_3q2-7wAAAA…",
                    "refresh_expires_in": 2592000,
                    "password_change_required": False,
                }
            ]
        }
    )

    access_token: str
    token_type: Literal["bearer"] = Field(default="bearer")
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    password_change_required: bool

    @classmethod
    def of(cls, granted: Granted) -> Self:
        """The tokens of a login or a refresh."""
        return cls.model_validate(granted, from_attributes=True)


class Registration(BaseModel):
    """The account to register."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "ada", "password": "an example nobody uses"}]}
    )

    username: NewUsername
    password: Password


class PasswordChange(BaseModel):
    """The current and the new password."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"current_password": "the old example", "new_password": "an example nobody uses"}]
        }
    )

    current_password: Password
    new_password: Password
    revoke_api_keys: bool = Field(default=False, description="Revoke every API key as well.")


class Me(BaseModel):
    """The account of the access token."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": USER_ID, "username": "ada", "role": "user"}]})

    user_id: UUID = Field(validation_alias=AliasChoices("id", "user_id"))
    username: str
    role: Role


class SessionView(BaseModel):
    """A running session; it ends at `expires_at` unless it is used before."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "2f0c2c52-0d2b-4b7e-8c0b-9d1d5f0b8a11",
                    "created_at": CREATED,
                    "last_used_at": "2026-11-22T13:00:00Z",
                    "expires_at": "2026-12-22T13:00:00Z",
                    "address": "192.0.2.7",
                    "user_agent": "Mozilla/5.0 …",
                    "current": True,
                }
            ]
        }
    )

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    user_agent: str | None
    current: bool = False


class SessionList(BaseModel):
    """Running sessions, last used first."""

    items: list[SessionView]

    @classmethod
    def of(cls, sessions: Iterable[Session], current: UUID | None) -> Self:
        """The sessions, with the current one marked."""
        shown = [SessionView.model_validate(session, from_attributes=True) for session in sessions]
        return cls(items=[view.model_copy(update={"current": view.id == current}) for view in shown])


class NewApiKey(BaseModel):
    """The API key to create. `write` includes `read`; only administrators may use `admin`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "nightly import", "scopes": ["read", "write"], "expires_in_days": 90}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]
    scopes: list[Scope] = Field(default=["read", "write"], min_length=1, max_length=3)
    expires_in_days: int | None = Field(default=None, ge=1, le=3650, description="Left out: the key does not expire.")

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if not {"read", "write"} & set(self.scopes):
            raise ValueError("admin alone permits nothing: add read or write")
        return self


class ApiKeyView(BaseModel):
    """An API key without its text. `last_used_at` is exact to a few minutes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": KEY_ID,
                    "name": "nightly import",
                    "prefix": "vk_Zp3kQ1x",
                    "scopes": ["read", "write"],
                    "created_at": CREATED,
                    "expires_at": None,
                    "last_used_at": None,
                }
            ]
        }
    )

    id: UUID
    name: str
    prefix: str = Field(description="First characters of the key, to recognise it.")
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class ApiKeyCreated(ApiKeyView):
    """A new API key with its text, which is shown only in this response."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": KEY_ID,
                    "name": "nightly import",
                    "prefix": "vk_Zp3kQ1x",
                    "scopes": ["read", "write"],
                    "created_at": CREATED,
                    "expires_at": None,
                    "last_used_at": None,
                    "key": "vk_Zp3kQ1x…",
                }
            ]
        }
    )

    key: str

    @classmethod
    def made(cls, key: ApiKey, text: str) -> Self:
        """The key with its text."""
        return cls(**ApiKeyView.model_validate(key, from_attributes=True).model_dump(), key=text)


class ApiKeyList(BaseModel):
    """API keys, newest first; revoked keys are left out, expired keys stay until they are revoked."""

    items: list[ApiKeyView]

    @classmethod
    def of(cls, keys: Iterable[ApiKey]) -> Self:
        """The keys without their texts."""
        return cls(items=[ApiKeyView.model_validate(key, from_attributes=True) for key in keys])


class Jwk(BaseModel):
    """An Ed25519 public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class Jwks(BaseModel):
    """Every key that may have signed a valid token (RFC 7517)."""

    keys: list[Jwk]
