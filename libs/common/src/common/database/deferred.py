"""What a transaction writes only when it commits, all of a kind in one statement: messages, bells, history."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

_KEY = "verbatim_deferred"

Write = Callable[[Connection, list[Any]], None]


def at_commit(session: AsyncSession, write: Write, item: Any) -> None:
    """Have `write` called with this and all other items that were given with it, in order, before the commit.

    What it raises makes the transaction fail; after a rollback nothing is written. Not for savepoints: what is rolled
    back with one would be written all the same.
    """
    assert not session.in_nested_transaction(), "deferred writes know nothing of savepoints"
    session.info.setdefault(_KEY, {}).setdefault(write, []).append(item)


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if session.in_nested_transaction():
        return
    deferred: dict[Write, list[Any]] = session.info.get(_KEY, {})
    while deferred:  # a write may defer another, such as a bell
        write = next(iter(deferred))
        write(session.connection(), deferred.pop(write))


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(_KEY, None)
