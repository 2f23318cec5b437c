"""What a service published: messages read from its outbox, and events received as a neighbouring service does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.database import InboxMixin, OutboxMixin
from common.events import BY_ROUTING_KEY, COMMANDS, SUBSCRIBERS, Command, Event
from common.messaging import Broker, EventConsumer
from common.settings import BrokerSettings

Sessions = async_sessionmaker[AsyncSession]
_TYPES: dict[str, type[Event] | type[Command]] = {**BY_ROUTING_KEY, **{kind.name: kind for kind in COMMANDS}}


async def published(sessions: Sessions, outbox: type[OutboxMixin], *kinds: type[Event] | type[Command]) -> list[Any]:
    """Return the messages of these kinds (default: all) that were written to the outbox, in order."""
    async with sessions() as session:
        rows = (await session.scalars(select(outbox).order_by(outbox.seq))).all()
    messages = [_TYPES[row.message_type].model_validate_json(row.body) for row in rows]
    return [message for message in messages if not kinds or isinstance(message, kinds)]


async def assert_published(
    sessions: Sessions, outbox: type[OutboxMixin], kind: type[Event] | type[Command], **fields: Any
) -> Any:
    """Return the message of this kind in the outbox; fail unless there is exactly one and it has these fields."""
    messages = await published(sessions, outbox, kind)
    assert len(messages) == 1, f"{len(messages)} messages of {kind.__name__}: {messages}"
    actual = {name: getattr(messages[0], name) for name in fields}
    assert actual == fields
    return messages[0]


@asynccontextmanager
async def received_by(
    service: str, settings: BrokerSettings, sessions: Sessions, inbox: type[InboxMixin]
) -> AsyncIterator[tuple[Broker, "asyncio.Queue[Event]"]]:
    """Consume during the block what a service subscribes to; yields its broker connection and the events received."""
    received: asyncio.Queue[Event] = asyncio.Queue()

    async def receive(event: Event, _session: AsyncSession, _resources: None) -> None:
        received.put_nowait(event)

    broker = await Broker.connect(settings, service)
    consumer = EventConsumer(
        broker,
        service=service,
        sessions=sessions,
        inbox=inbox,
        subscriptions={event: receive for event, services in SUBSCRIBERS.items() if service in services},
        resources=None,
    )
    await consumer.start()
    try:
        yield broker, received
    finally:
        await consumer.stop()
        await broker.close()
