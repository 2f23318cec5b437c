"""The transactional outbox: messages are stored in the transaction of the change and published after its commit."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from math import inf
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import ARRAY, BigInteger, Connection, Interval, any_, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase

from common.database import Notifications, OutboxMixin, at_commit, is_outage, metadata, notify
from common.events import Command, Event

from . import metrics
from .broker import Broker
from .envelope import Envelope
from .errors import PublishFailed, PublishRefused
from .loss_detector import BrokerLossDetector
from .topology import EVENTS, direct_to

log = structlog.get_logger(__name__)

_CHANNEL = "outbox"
_BATCH = 200
_POLL_SECONDS = 1.0
# A pause after each batch: rows that are committed meanwhile are published together.
_REST_SECONDS = 0.02
_KEEP_PUBLISHED = timedelta(days=1)
_PRUNE_EVERY = 300.0
_MEASURE_EVERY = 5.0
_REFUSED_RETRY = timedelta(seconds=10)
_SENT = ("seq", "exchange", "routing_key", "message_id", "message_type", "correlation_id", "traceparent", "body")


class _Base(DeclarativeBase):
    metadata = metadata()


class _Outbox(OutboxMixin, _Base):
    """The outbox table, which has the same columns in the schema of every service."""


_INSERT = (
    insert(_Outbox.__table__)  # type: ignore[arg-type]  # a mixin declares no table
    .values(available_at=func.now() + bindparam("available_in", type_=Interval))
    .inline()
)
# An array, not a list of parameters: each list length would be another prepared statement.
_SEQS = any_(bindparam("seqs", type_=ARRAY(BigInteger)))


def add(session: AsyncSession, message: Event | Command, *, available_in: timedelta | None = None) -> None:
    """Write a message to the outbox in the session's transaction; it is published after the commit.

    With `available_in` it is published at the earliest that long after the start of the transaction (database clock).
    """
    envelope = Envelope.of(message)
    row = {
        "message_id": message.event_id,
        "exchange": envelope.exchange,
        "routing_key": envelope.routing_key,
        "message_type": envelope.message_type,
        "correlation_id": envelope.correlation_id,
        "traceparent": envelope.traceparent,
        "body": envelope.body.decode(),
        "available_in": available_in or timedelta(),
    }
    at_commit(session, _write, row)
    notify(session, _CHANNEL)


def _write(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(_INSERT, rows)


async def reannounce(session: AsyncSession) -> None:
    """Mark all stored events as unpublished, for a restored database, and delete commands.

    Consumers drop events that they have already applied. Commands are dispatched again after a loss of the broker.
    """
    is_event = _Outbox.exchange == EVENTS
    again = {"published_at": None, "available_at": func.now()}
    await session.execute(update(_Outbox).where(is_event, _Outbox.published_at.is_not(None)).values(again))
    await session.execute(delete(_Outbox).where(~is_event))


class OutboxRelay:
    """Publishes the rows of the outbox in the order of insertion.

    Each pass locks the due rows, publishes them concurrently on one channel and marks the confirmed ones as published.
    A relay that ends between the confirmation and the mark publishes again; the consumers' inboxes drop the duplicate.

    When the broker has lost its state (see `BrokerLossDetector`), all events of the last day are published again;
    `after_loss` runs in the same transaction. Any number of replicas may run a relay for the same outbox.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        sessions: async_sessionmaker[AsyncSession],
        broker: Broker,
        outbox: type[OutboxMixin],
        *,
        after_loss: Callable[[AsyncSession], Awaitable[None]] | None = None,
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._broker = broker
        self._outbox = outbox
        self._after_loss = after_loss
        self._loss_detector = BrokerLossDetector(broker)
        self._reconnected = asyncio.Event()
        self._reconnected.set()  # the broker may have lost its state before this process started
        self._measured = self._pruned = -inf

    async def run(self) -> None:
        """Publish until cancelled; continues after outages of the broker and the database."""
        self._broker.on_reconnect(self._reconnected.set)
        async with Notifications(self._engine, _CHANNEL) as notifications:
            while True:
                try:
                    await self._republish_after_loss()
                    busy = await self._pass()
                    await self._housekeep()
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("outbox paused by an outage", error=f"{type(error).__name__}: {error}")
                    busy = False
                if not busy:
                    await asyncio.sleep(_REST_SECONDS)
                    await notifications.wait(_POLL_SECONDS)

    async def _republish_after_loss(self) -> None:
        """After a reconnect: if the broker lost its state, publish recent events again; inboxes drop duplicates."""
        if not self._reconnected.is_set():
            return
        self._reconnected.clear()
        try:
            if await self._loss_detector.marker_exists():
                return
            async with self._sessions.begin() as session:
                count = await self._mark_unpublished(session)
                if self._after_loss is not None:
                    await self._after_loss(session)
            await self._loss_detector.create_marker()
        except PublishFailed:
            self._reconnected.set()  # disconnected again; the next pass checks again
        except BaseException:
            self._reconnected.set()
            raise
        else:
            log.warning("broker state lost, republishing events", events=count)

    async def _mark_unpublished(self, session: AsyncSession) -> int:
        """Mark the events of the last day as unpublished and return their number; commands are dispatched anew."""
        row = self._outbox
        recent_events = (row.published_at >= func.now() - _KEEP_PUBLISHED, row.exchange == EVENTS)
        statement = update(row).where(*recent_events).values(published_at=None).returning(row.seq)
        return len((await session.scalars(statement, execution_options={"synchronize_session": False})).all())

    async def _pass(self) -> bool:
        """Publish one batch; return whether more rows may be due."""
        row = self._outbox
        due = (
            select(*(getattr(row, name) for name in _SENT))
            .where(row.published_at.is_(None), row.available_at <= func.now())
            .order_by(row.seq)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        )
        async with self._sessions.begin() as session:
            rows = (await session.execute(due)).all()
            outcomes = await asyncio.gather(
                *(self._broker.send(_envelope(row)) for row in rows), return_exceptions=True
            )
            pairs = list(zip(rows, outcomes, strict=True))
            confirmed = [row.seq for row, outcome in pairs if outcome is None]
            refused = [row.seq for row, outcome in pairs if isinstance(outcome, PublishRefused)]
            await self._mark(session, confirmed, {"published_at": func.now()})
            # A refused message must not block the messages after it.
            await self._mark(session, refused, {"available_at": func.now() + _REFUSED_RETRY})
        errors = [outcome for outcome in outcomes if outcome is not None]
        if errors:
            log.warning("outbox publish failed", messages=len(errors), refused=len(refused), error=str(errors[0]))
            if unexpected := [error for error in errors if not isinstance(error, PublishFailed)]:
                raise unexpected[0]
        return len(confirmed) == _BATCH

    async def _mark(self, session: AsyncSession, seqs: list[int], values: dict[str, Any]) -> None:
        if seqs:
            await session.execute(
                update(self._outbox)
                .where(self._outbox.seq == _SEQS)
                .values(values)
                .execution_options(synchronize_session=False),
                {"seqs": seqs},
            )

    async def _housekeep(self) -> None:
        """Measure the unpublished rows and, from time to time, delete old published ones."""
        row = self._outbox
        now = monotonic()
        if now - self._measured >= _MEASURE_EVERY:
            self._measured = now
            age = func.extract("epoch", func.clock_timestamp() - func.min(row.available_at))
            waiting = select(func.count(), func.coalesce(age, 0)).where(
                row.published_at.is_(None), row.available_at <= func.now()
            )
            async with self._sessions() as session:
                count, seconds = (await session.execute(waiting)).one()
            metrics.OUTBOX_UNPUBLISHED.set(count)
            metrics.OUTBOX_OLDEST_SECONDS.set(float(seconds))
        if now - self._pruned >= _PRUNE_EVERY:
            self._pruned = now
            async with self._sessions.begin() as session:
                await session.execute(delete(row).where(row.published_at < func.now() - _KEEP_PUBLISHED))


def _envelope(row: Any) -> Envelope:
    # Rows of earlier versions have no exchange for messages to a single queue.
    exchange, routing_key = (row.exchange, row.routing_key) if row.exchange else direct_to(row.routing_key)
    return Envelope(
        exchange=exchange,
        routing_key=routing_key,
        message_id=str(row.message_id),
        message_type=row.message_type,
        correlation_id=row.correlation_id,
        traceparent=row.traceparent,
        body=row.body.encode(),
    )
