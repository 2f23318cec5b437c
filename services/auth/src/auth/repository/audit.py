"""The audit trail: what happened to an account, who did it, and from which address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from auth.tables import SecurityEvent, User
from common import context
from common.web import Identity

log = structlog.get_logger(__name__)

Kind = Literal[
    "signing_key_created",
    "signing_key_rotated",
    "first_admin_created",
    "login_succeeded",
    "login_failed",
    "login_throttled",
    "logout",
    "refresh_token_reused",
    "session_ended",
    "other_sessions_ended",
    "password_changed",
    "password_change_refused",
    "user_registered",
    "user_created",
    "user_disabled",
    "user_enabled",
    "user_deleted",
    "role_changed",
    "password_reset",
    "api_key_created",
    "api_key_revoked",
]


@dataclass(frozen=True, slots=True)
class Caller:
    """Address and user agent of a request; the address is the client's only if the gateway has named it."""

    address: str
    user_agent: str | None = None


def record(
    session: AsyncSession,
    kind: Kind,
    *,
    user: User | None = None,
    username: str | None = None,
    caller: Caller | None = None,
    actor: Identity | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add a record about `user`, or about a name without an account; `actor` is stored if it is another user."""
    user_id = user.id if user else None
    by_other = actor is not None and actor.user_id != user_id
    address = caller.address if caller else None
    session.add(
        SecurityEvent(
            kind=kind,
            user_id=user_id,
            username=username or (user.username if user else None),
            actor_id=actor.user_id if actor and by_other else None,
            actor=actor.username if actor and by_other else None,
            address=address,
            correlation_id=context.correlation_id(),
            details=dict(details or {}),
        )
    )
    log.info(kind.replace("_", " "), user_id=str(user_id) if user_id else None, address=address, **(details or {}))


async def trail(
    session: AsyncSession,
    *,
    limit: int,
    before: int | None,
    kind: Kind | None,
    user_id: UUID | None,
    since: datetime | None,
    until: datetime | None,
) -> Sequence[SecurityEvent]:
    """The records that meet every condition, newest first, with ids below `before`; `until` is exclusive."""
    statement = select(SecurityEvent).order_by(SecurityEvent.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(SecurityEvent.id < before)
    if kind is not None:
        statement = statement.where(SecurityEvent.kind == kind)
    if user_id is not None:
        statement = statement.where((SecurityEvent.user_id == user_id) | (SecurityEvent.actor_id == user_id))
    if since is not None:
        statement = statement.where(SecurityEvent.occurred_at >= since)
    if until is not None:
        statement = statement.where(SecurityEvent.occurred_at < until)
    return (await session.scalars(statement)).all()
