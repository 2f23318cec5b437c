"""The outbox: messages are written with the change they tell of, and published afterwards."""

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

from common.database import Notifications, OutboxMixin, at_commit, is_outage, metadata, ring
from common.events import Command, Event

from . import metrics
from .broker import Broker
from .envelope import Envelope
from .errors import PublishFailed, PublishRefused
from .topology import EVENTS, straight_to
from .witness import Witness

log = structlog.get_logger(__name__)

_CHANNEL = "outbox"
_BATCH = 200
_POLL_SECONDS = 1.0
# After a pass: what is committed meanwhile goes out together.
_REST_SECONDS = 0.02
_KEEP_PUBLISHED = timedelta(days=1)
_PRUNE_EVERY = 300.0
_MEASURE_EVERY = 5.0
_REFUSED_WAITS = timedelta(seconds=10)
_SENT = ("seq", "exchange", "routing_key", "message_id", "message_type", "correlation_id", "traceparent", "body")


class _Base(DeclarativeBase):
    metadata = metadata()


class _Outbox(OutboxMixin, _Base):
    """The outbox of whichever service's session it is added to: the table has the same shape in every schema."""


_INSERT = (
    insert(_Outbox.__table__)  # type: ignore[arg-type]  # of a mixin's table nothing is known
    .values(available_at=func.now() + bindparam("available_in", type_=Interval))
    .inline()
)
# An array, not a list of parameters: each length of a list would be another statement to prepare.
_SEQS = any_(bindparam("seqs", type_=ARRAY(BigInteger)))


def add(session: AsyncSession, message: Event | Command, *, available_in: timedelta | None = None) -> None:
    """Write a message into the outbox within the session's transaction; it is published after the commit, or never.

    With `available_in` it is published no sooner than so long after the transaction began, by the database's clock.
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
    ring(session, _CHANNEL)


def _write(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(_INSERT, rows)


async def reannounce(session: AsyncSession) -> None:
    """Have every fact that is kept published again, however long ago it was: for a database that was restored.

    Consumers drop what they have taken in before. Work is forgotten: who finds a broker empty asks for it anew.
    """
    of_facts = _Outbox.exchange == EVENTS
    again = {"published_at": None, "available_at": func.now()}
    await session.execute(update(_Outbox).where(of_facts, _Outbox.published_at.is_not(None)).values(again))
    await session.execute(delete(_Outbox).where(~of_facts))


class OutboxRelay:
    """Publishes what lies in the outbox, in the order of insertion as far as the broker takes it.

    Each pass locks the due rows, publishes them all at once on one channel and marks those that the broker confirmed.
    A relay that dies between the confirmation and the mark publishes twice; the consumers' inboxes drop the second.

    A broker that comes back empty lost what it had confirmed. The relay sees that a mark is missing, and publishes all
    facts of the last day once more; `after_loss` may do further things in the same transaction.
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
        """Wire a relay; any number of replicas may run one for the same outbox."""
        self._engine = engine
        self._sessions = sessions
        self._broker = broker
        self._outbox = outbox
        self._after_loss = after_loss
        self._witness = Witness(broker)
        self._reconnected = asyncio.Event()
        self._reconnected.set()  # it may have been emptied before this process began
        self._measured = self._pruned = -inf

    async def run(self) -> None:
        """Publish until cancelled; neither an outage of the broker nor one of the database ends it."""
        self._broker.on_reconnect(self._reconnected.set)
        async with Notifications(self._engine, _CHANNEL) as doorbell:
            while True:
                try:
                    await self._look_for_loss()
                    busy = await self._pass()
                    await self._housekeep()
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("outbox waits", error=f"{type(error).__name__}: {error}")
                    busy = False
                if not busy:
                    await asyncio.sleep(_REST_SECONDS)
                    await doorbell.wait(_POLL_SECONDS)

    async def _look_for_loss(self) -> None:
        """After a reconnect: if the broker has forgotten us, tell all facts again; the inboxes drop what is known."""
        if not self._reconnected.is_set():
            return
        self._reconnected.clear()
        try:
            if await self._witness.stands():
                return
            async with self._sessions.begin() as session:
                again = await self._untell(session)
                if self._after_loss is not None:
                    await self._after_loss(session)
            await self._witness.raise_again()
        except PublishFailed:
            self._reconnected.set()  # it is away once more; the next round asks again
        except BaseException:
            self._reconnected.set()
            raise
        else:
            log.warning("the broker knows nothing of us: facts are told again", messages=again)

    async def _untell(self, session: AsyncSession) -> int:
        """Let the facts that are still kept be published again; work is not, whoever wants it done asks anew."""
        row = self._outbox
        told = (row.published_at >= func.now() - _KEEP_PUBLISHED, row.exchange == EVENTS)
        statement = update(row).where(*told).values(published_at=None).returning(row.seq)
        return len((await session.scalars(statement, execution_options={"synchronize_session": False})).all())

    async def _pass(self) -> bool:
        """Publish one batch; False if there is nothing more to do for now."""
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
            # A message that no queue takes must not keep the head of the line from those behind it.
            await self._mark(session, refused, {"available_at": func.now() + _REFUSED_WAITS})
        trouble = [outcome for outcome in outcomes if outcome is not None]
        if trouble:
            log.warning("outbox could not publish", messages=len(trouble), refused=len(refused), error=str(trouble[0]))
            if unexpected := [error for error in trouble if not isinstance(error, PublishFailed)]:
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
        """Measure what is waiting, and now and then forget what was published long ago."""
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
    # Rows of former versions name the default exchange for what goes straight into a queue.
    exchange, routing_key = (row.exchange, row.routing_key) if row.exchange else straight_to(row.routing_key)
    return Envelope(
        exchange=exchange,
        routing_key=routing_key,
        message_id=str(row.message_id),
        message_type=row.message_type,
        correlation_id=row.correlation_id,
        traceparent=row.traceparent,
        body=row.body.encode(),
    )
