"""Writes that a transaction executes at its commit, those of one kind in one statement."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

_KEY = "verbatim_deferred"

Write = Callable[[Connection, list[Any]], None]


def at_commit(session: AsyncSession, write: Write, item: Any) -> None:
    """Call `write` before the commit, once, with all items that were deferred for it, in order.

    An exception of it fails the transaction; after a rollback it is not called. Not for savepoints: items of a rolled
    back savepoint would still be written.
    """
    assert not session.in_nested_transaction(), "deferred writes do not support savepoints"
    session.info.setdefault(_KEY, {}).setdefault(write, []).append(item)


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if session.in_nested_transaction():
        return
    deferred: dict[Write, list[Any]] = session.info.get(_KEY, {})
    while deferred:  # a write may defer another, such as a notification
        write = next(iter(deferred))
        write(session.connection(), deferred.pop(write))


@event.listens_for(Session, "after_rollback")
def _discard(session: Session) -> None:
    session.info.pop(_KEY, None)
