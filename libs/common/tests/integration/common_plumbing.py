"""What several integration tests of the plumbing share: tables, events, consumers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from prometheus_client import REGISTRY
from sqlalchemy import BigInteger, Identity, Text, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database
from common.events import Event, JobCreated, JobDeleted, JobTranscribed, UserDeleted
from common.messaging import Broker, DeadLetterConsumer, EventConsumer, OutboxRelay, RawMessage, Subscriptions
from common.testing.events import job_transcribed

Sessions = async_sessionmaker[AsyncSession]


class Base(DeclarativeBase):
    """A service's tables."""

    metadata = database.metadata()


class Outbox(database.OutboxMixin, Base):
    """The service's outbox."""


class Inbox(database.InboxMixin, Base):
    """The service's inbox."""


class Effect(Base):
    """What a handler did."""

    __tablename__ = "effects"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    event_id: Mapped[UUID]
    note: Mapped[str] = mapped_column(Text)


class Ledger:
    """The resources of the test service: handlers write into the database, and here whatever they were called with."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.calls: list[Event] = []
        self.failures: list[Exception] = []

    poison: str | None = None

    def fail_with(self, *failures: Exception) -> None:
        """Let the next handlers raise these, one each."""
        self.failures.extend(failures)


async def on_job_transcribed(event: JobTranscribed, session: AsyncSession, ledger: Ledger) -> None:
    """Write an effect, or fail if the test says so, after the effect was written."""
    ledger.calls.append(event)
    session.add(Effect(event_id=event.event_id, note=event.transcript_key))
    await session.flush()
    if ledger.failures:
        raise ledger.failures.pop(0)
    if event.transcript_key == ledger.poison:
        raise ValueError("this one fails always")


async def on_job_deleted(event: JobDeleted, session: AsyncSession, ledger: Ledger) -> None:
    """Write an effect."""
    ledger.calls.append(event)
    session.add(Effect(event_id=event.event_id, note="deleted"))


# The test service plays the part of metadata, which listens to these.
SERVICE = "metadata"


async def on_job_created(event: JobCreated, session: AsyncSession, ledger: Ledger) -> None:
    """Do nothing: the catalogue lists it for the service, and no test here publishes it."""


async def on_user_deleted(event: UserDeleted, session: AsyncSession, ledger: Ledger) -> None:
    """Do nothing, for the same reason."""


SUBSCRIPTIONS: Subscriptions[Ledger] = {
    JobCreated: on_job_created,
    JobTranscribed: on_job_transcribed,
    JobDeleted: on_job_deleted,
    UserDeleted: on_user_deleted,
}


def a_job_transcribed(note: str = "transcript", job_id: UUID | None = None) -> JobTranscribed:
    """An event that the test service subscribes to; its handler writes the note down."""
    return job_transcribed(job_id, transcript_key=note)


async def notes(session_factory: Sessions) -> list[str]:
    """All effects, in the order in which they were written."""
    async with session_factory() as session:
        return list(await session.scalars(select(Effect.note).order_by(Effect.seq)))


async def unpublished(session_factory: Sessions) -> int:
    """How many outbox rows are not marked as published."""
    async with session_factory() as session:
        count = await session.scalar(select(func.count()).select_from(Outbox).where(Outbox.published_at.is_(None)))
        return int(count or 0)


@asynccontextmanager
async def running(relay: OutboxRelay) -> AsyncIterator[asyncio.Task[None]]:
    """Run a relay for the length of the block."""
    task = asyncio.create_task(relay.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def consuming(broker: Broker, session_factory: Sessions, ledger: Ledger) -> AsyncIterator[EventConsumer[Ledger]]:
    """Consume events into effects for the length of the block."""
    consumer = EventConsumer(
        broker,
        service=SERVICE,
        sessions=session_factory,
        inbox=Inbox,
        subscriptions=SUBSCRIPTIONS,
        resources=ledger,
        retry_delay=0.05,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def relaying(engine: AsyncEngine, session_factory: Sessions, broker: Broker) -> AsyncIterator[Ledger]:
    """Relay the outbox and consume its events for the length of the block."""
    ledger = Ledger()
    async with (
        consuming(broker, session_factory, ledger),
        running(OutboxRelay(engine, session_factory, broker, Outbox)),
    ):
        yield ledger


@asynccontextmanager
async def dead_letters(broker: Broker) -> AsyncIterator[list[RawMessage]]:
    """Collect dead letters meanwhile."""
    found: list[RawMessage] = []

    async def collect(batch: list[RawMessage]) -> None:
        found.extend(batch)

    consumer = DeadLetterConsumer(broker, callback=collect)
    await consumer.start()
    try:
        yield found
    finally:
        await consumer.stop()


def consumed(outcome: str, message: str = "job.transcribed.v1", consumer: str = SERVICE) -> float:
    """How many messages came to this outcome so far."""
    labels = {"consumer": consumer, "message": message, "outcome": outcome}
    return REGISTRY.get_sample_value("verbatim_messages_consumed_total", labels) or 0.0
