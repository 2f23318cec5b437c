"""Bodies of the administrative operations."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from auth.accounts.management import Role
from auth.repository.audit import Kind
from auth.tables import SecurityEvent, SigningKey, User
from common.web import cursors
from common.web.timestamps import restore_plus

from .public import CREATED, USER_ID, NewUsername, Password

USER_EXAMPLE: dict[str, Any] = {
    "id": USER_ID,
    "username": "ada",
    "role": "user",
    "disabled": False,
    "password_change_required": False,
    "created_at": CREATED,
    "last_login_at": "2026-11-22T12:30:00Z",
}


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is outside the supported range, years 1 to 9999 in UTC") from error


Moment = Annotated[AwareDatetime, BeforeValidator(restore_plus), AfterValidator(_in_utc)]


class NewUser(BaseModel):
    """An account to create. Without a password one is generated; the owner must change it at the first login."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"username": "ada", "role": "user"}]})

    username: NewUsername
    role: Role = "user"
    password: Password | None = None


class UserChanges(BaseModel):
    """The changes; omitted values stay as they are. Disabling ends every session and disables every API key."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "admin"}, {"disabled": True}]})

    role: Role | None = None
    disabled: bool | None = None


class UserView(BaseModel):
    """An account."""

    model_config = ConfigDict(json_schema_extra={"examples": [USER_EXAMPLE]})

    id: UUID
    username: str
    role: Role
    disabled: bool
    password_change_required: bool
    created_at: datetime
    last_login_at: datetime | None

    @classmethod
    def of(cls, user: User, **further: Any) -> Self:
        """The account, with the values of a derived view."""
        return cls(
            id=user.id,
            username=user.username,
            role="admin" if user.role == "admin" else "user",
            disabled=user.disabled_at is not None,
            password_change_required=user.must_change_password,
            created_at=user.created_at,
            last_login_at=user.last_login_at,
            **further,
        )


class UserWithPassword(UserView):
    """An account with its one-time password, shown only in this response; null if none was generated."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                USER_EXAMPLE | {"password_change_required": True, "one_time_password": "hG3v…", "last_login_at": None}
            ]
        }
    )

    one_time_password: str | None


class UserPage(BaseModel):
    """Accounts ordered by name; `next_cursor` requests the next page and is null on the last one."""

    items: list[UserView]
    next_cursor: str | None

    @classmethod
    def of(cls, users: Sequence[User], limit: int) -> Self:
        """A page of at most `limit` accounts; one more account means that another page follows."""
        shown = users[:limit]
        more = len(users) > limit
        return cls(
            items=[UserView.of(user) for user in shown],
            next_cursor=cursors.encode(shown[-1].username_key) if more else None,
        )


class AuditLine(BaseModel):
    """An audit record about an account, or a name without one; `actor` is another user who acted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 42,
                    "occurred_at": CREATED,
                    "kind": "role_changed",
                    "user_id": USER_ID,
                    "username": "ada",
                    "actor_id": "5b0b4e4b-6d2a-4f6e-9f0a-1c2d3e4f5a6b",
                    "actor": "admin",
                    "address": "192.0.2.7",
                    "correlation_id": "8d3c0a8e5a0f4d9c9f3f6f1f0f6f7a11",
                    "details": {"role": "admin", "before": "user"},
                }
            ]
        }
    )

    id: int
    occurred_at: datetime
    kind: Kind
    user_id: UUID | None
    username: str | None
    actor_id: UUID | None
    actor: str | None
    address: str | None
    correlation_id: str | None
    details: dict[str, Any]


class AuditPage(BaseModel):
    """The audit trail, newest first; `next_cursor` requests the next page and is null on the last one."""

    items: list[AuditLine]
    next_cursor: str | None

    @classmethod
    def of(cls, lines: Sequence[SecurityEvent], limit: int) -> Self:
        """A page of at most `limit` records; one more record means that another page follows."""
        shown = lines[:limit]
        more = len(lines) > limit
        return cls(
            items=[AuditLine.model_validate(line, from_attributes=True) for line in shown],
            next_cursor=cursors.encode(shown[-1].id) if more else None,
        )


class SigningKeyView(BaseModel):
    """A signing key: published before it signs, served until its last token has expired."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
                    "created_at": CREATED,
                    "signs_from": "2026-11-22T12:06:00Z",
                    "served_until": None,
                }
            ]
        }
    )

    kid: str
    created_at: datetime
    signs_from: datetime
    served_until: datetime | None


class SigningKeyList(BaseModel):
    """Every key that a valid token may name, newest first."""

    items: list[SigningKeyView] = Field(description="The first key whose `signs_from` has passed signs.")

    @classmethod
    def of(cls, keys: Sequence[SigningKey]) -> Self:
        """The keys without their private keys."""
        return cls(items=[SigningKeyView.model_validate(key, from_attributes=True) for key in keys])
