"""Deletion of expired rows."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from auth.repository import accounts
from auth.tables import LoginAttempts, SecurityEvent

pytestmark = pytest.mark.integration


async def test_pruning_keeps_running_windows_and_recent_audit_records(
    start_auth: Callable[..., Awaitable[FastAPI]],
) -> None:
    app = await start_auth()
    async with app.state.sessions.begin() as session:
        for name, ends in (("over", -1), ("running", 60)):
            session.add(
                LoginAttempts(
                    username_key=name, address="a", failures=1, window_ends_at=func.now() + timedelta(seconds=ends)
                )
            )
        session.add(SecurityEvent(kind="old", occurred_at=func.now() - timedelta(days=31)))
        session.add(SecurityEvent(kind="recent", occurred_at=func.now() - timedelta(days=29)))
    async with app.state.sessions.begin() as session:
        assert await accounts.prune(session, timedelta(days=30)) == 2
    async with app.state.sessions() as session:
        assert (await session.scalars(select(LoginAttempts.username_key))).all() == ["running"]
        kinds = (await session.scalars(select(SecurityEvent.kind))).all()
        assert "recent" in kinds
        assert "old" not in kinds
