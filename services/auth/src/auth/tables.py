"""The tables of the auth service."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database


class Base(DeclarativeBase):
    """Base of the tables of this service's schema."""

    metadata = database.metadata()


class Outbox(database.OutboxMixin, Base):
    """Events to publish."""


class Inbox(database.InboxMixin, Base):
    """Events that are processed."""


class User(Base):
    """An account that may log in."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('admin', 'user')", name="role_known"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    username: Mapped[str] = mapped_column(Text)
    #: The normalised name; unique, so that similar names cannot be two accounts.
    username_key: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    last_login_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    #: Set when the account is deleted; the anonymous row stays until the last of its tokens has expired.
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    #: An administrator chose the password: until it is changed, it permits nothing else.
    must_change_password: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Every token carries the generation of its issue; raising the generation revokes all earlier tokens.
    generation: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    generation_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Session(Base):
    """A session: a family of refresh tokens, each valid once."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id", "ended_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    #: Extended by every refresh, but never beyond `ends_at`.
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), index=True)
    end_reason: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    user_agent: Mapped[str | None] = mapped_column(Text)


class RefreshToken(Base):
    """An issued refresh token; used tokens stay, so that a second use is detected."""

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ApiKey(Base):
    """An API key. Its text is random, shown once, and stored only as SHA-256."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), index=True)


class SigningKey(Base):
    """An Ed25519 key pair; several are served at once, the newest that may sign already signs."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    #: The private key, encrypted under SECRET_KEY.
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    #: A new key is served before it signs, so that every service has it when the first token arrives.
    signs_from: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    #: An old key is served until its last token has expired; null while no newer key exists.
    served_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class LoginAttempts(Base):
    """Failed logins of one user from one address (or, with an empty user, of that address) in the current window."""

    __tablename__ = "login_attempts"

    username_key: Mapped[str] = mapped_column(Text, primary_key=True)
    address: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    window_ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class SecurityEvent(Base):
    """A record of the audit trail; rows are only added, and deleted by age."""

    __tablename__ = "security_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
    kind: Mapped[str] = mapped_column(Text)
    #: The account that the record is about, and the name as given.
    user_id: Mapped[UUID | None] = mapped_column(index=True)
    username: Mapped[str | None] = mapped_column(Text)
    #: The user who acted, if another one.
    actor_id: Mapped[UUID | None] = mapped_column()
    actor: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    address: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[str | None] = mapped_column(Text)
