"""The outbox and its relay against a real database and a real broker."""

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from common import context
from common.events import JobStarted
from common.messaging import Broker, EventConsumer, OutboxRelay, outbox
from common.messaging.envelope import Envelope
from common.messaging.topology import loss_marker
from common.testing import eventually
from common.testing.events import plan_work
from native.testing import PostgresServer

from .common_plumbing import (
    SERVICE,
    SUBSCRIPTIONS,
    Inbox,
    Ledger,
    Outbox,
    Sessions,
    a_job_transcribed,
    consumed,
    consuming,
    notes,
    relaying,
    running,
    unpublished,
)

pytestmark = pytest.mark.integration


class DyingBroker(Broker):
    """Publishes through a real broker, and takes the relay down after the confirmation, before the mark."""

    def __init__(self, real: Broker, victim: "list[asyncio.Task[None]]") -> None:
        self.__dict__.update(real.__dict__)
        self._real = real
        self._victim = victim

    async def send(self, envelope: Envelope) -> None:
        await self._real.send(envelope)
        self._victim[0].cancel()
        await asyncio.sleep(60)


async def test_a_message_is_published_after_the_commit_and_not_before(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    async with relaying(engine, session_factory, broker) as ledger:
        async with session_factory.begin() as session:
            outbox.add(session, a_job_transcribed("committed"))
            await session.flush()
            await asyncio.sleep(1.5)  # longer than the relay's poll
            assert ledger.calls == []
        await eventually(lambda: len(ledger.calls) == 1)
        await eventually(lambda: _none_left(session_factory))


async def test_a_message_of_a_transaction_that_rolls_back_is_never_published(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    async with relaying(engine, session_factory, broker) as ledger:
        session = session_factory()
        outbox.add(session, a_job_transcribed("rolled back"))
        await session.flush()
        await session.rollback()
        await session.close()
        async with session_factory.begin() as session:
            outbox.add(session, a_job_transcribed("committed"))
        await eventually(lambda: len(ledger.calls) == 1)
        assert await notes(session_factory) == ["committed"]


async def test_the_relay_is_woken_by_the_commit(engine: AsyncEngine, session_factory: Sessions, broker: Broker) -> None:
    loop = asyncio.get_running_loop()
    waits = []
    async with relaying(engine, session_factory, broker) as ledger:
        for number in range(1, 7):
            async with session_factory.begin() as session:
                outbox.add(session, a_job_transcribed())
            begun = loop.time()
            await eventually(lambda: len(ledger.calls), number.__eq__)
            waits.append(loop.time() - begun)
    assert sorted(waits)[2] < 0.5, "half of a poll on average would be expected without the notification"


async def test_messages_are_published_in_the_order_of_insertion(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    job = a_job_transcribed().job_id
    expected = [f"{number:04d}" for number in range(500)]
    for begin in range(0, 500, 50):
        async with session_factory.begin() as session:
            for note in expected[begin : begin + 50]:
                outbox.add(session, a_job_transcribed(note, job_id=job))
    async with relaying(engine, session_factory, broker) as ledger:
        await eventually(lambda: len(ledger.calls) == 500)
    assert await notes(session_factory) == expected


async def test_a_message_may_be_held_until_later(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    async with relaying(engine, session_factory, broker) as ledger:
        async with session_factory.begin() as session:
            outbox.add(session, a_job_transcribed("later"), available_in=timedelta(seconds=2))
            outbox.add(session, a_job_transcribed("now"))
        await eventually(lambda: len(ledger.calls) == 2)
    assert await notes(session_factory) == ["now", "later"]


async def test_the_relay_dying_between_confirmation_and_mark_makes_a_duplicate_that_the_inbox_drops(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    ledger = Ledger()
    before = consumed("duplicate")
    async with session_factory.begin() as session:
        outbox.add(session, a_job_transcribed("once"))
    async with consuming(broker, session_factory, ledger):
        victims: list[asyncio.Task[None]] = []
        victims.append(
            asyncio.create_task(OutboxRelay(engine, session_factory, DyingBroker(broker, victims), Outbox).run())
        )
        await asyncio.wait(victims)
        assert victims[0].cancelled()
        assert await unpublished(session_factory) == 1
        await eventually(lambda: len(ledger.calls) == 1)

        async with running(OutboxRelay(engine, session_factory, broker, Outbox)):
            await eventually(lambda: consumed("duplicate") == before + 1)
            await eventually(lambda: _none_left(session_factory))
    assert await notes(session_factory) == ["once"]


async def test_a_broker_that_has_lost_everything_is_told_all_facts_again(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    ledger, before, asked = Ledger(), consumed("duplicate"), 0

    async def after_loss(_session: AsyncSession) -> None:
        nonlocal asked
        asked += 1

    def relay() -> OutboxRelay:
        return OutboxRelay(engine, session_factory, broker, Outbox, after_loss=after_loss)

    async with session_factory.begin() as session:
        outbox.add(session, a_job_transcribed("told"))
        outbox.add(session, plan_work())
    async with consuming(broker, session_factory, ledger):
        for _ in range(2):  # the second finds everything as it was
            async with running(relay()):
                await eventually(lambda: _none_left(session_factory))
                await eventually(lambda: len(ledger.calls) == 1)
        assert asked == 1, "a broker that has never heard of us has nothing of ours either"

        channel = await broker.consuming_channel()
        await channel.queue_delete(loss_marker(broker.name).name)
        async with running(relay()):
            await eventually(lambda: consumed("duplicate") == before + 1)
            await eventually(lambda: _none_left(session_factory))
    assert asked == 2
    assert await notes(session_factory) == ["told"]


async def test_two_relays_share_an_outbox_without_publishing_anything_twice(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    ledger = Ledger()
    before = consumed("duplicate")
    async with (
        consuming(broker, session_factory, ledger),
        running(OutboxRelay(engine, session_factory, broker, Outbox)),
        running(OutboxRelay(engine, session_factory, broker, Outbox)),
    ):
        for number in range(40):
            async with session_factory.begin() as session:
                for part in range(5):
                    outbox.add(session, a_job_transcribed(f"{number}/{part}"))
        await eventually(lambda: len(ledger.calls) == 200)
        await eventually(lambda: _none_left(session_factory))
    assert consumed("duplicate") == before


async def test_the_relay_survives_a_restart_of_the_database(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker, postgres_server: PostgresServer
) -> None:
    ledger = Ledger()
    async with (
        consuming(broker, session_factory, ledger),
        running(OutboxRelay(engine, session_factory, broker, Outbox)) as relay,
    ):
        async with session_factory.begin() as session:
            outbox.add(session, a_job_transcribed("before"))
        await eventually(lambda: _none_left(session_factory))
        await eventually(lambda: _are(session_factory, ["before"]))
        await postgres_server.kill()
        await asyncio.sleep(2.5)  # a few passes of the relay without a database
        await postgres_server.start()
        async with session_factory.begin() as session:
            outbox.add(session, a_job_transcribed("after"))
        await eventually(lambda: _none_left(session_factory))
        assert not relay.done()
        await eventually(lambda: len(ledger.calls) >= 2)
        await eventually(lambda: _are(session_factory, ["before", "after"]))


async def test_a_command_is_published_to_its_queue_even_before_anybody_consumes_from_it(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    async with session_factory.begin() as session:
        outbox.add(session, plan_work())
    async with running(OutboxRelay(engine, session_factory, broker, Outbox)):
        await eventually(lambda: _none_left(session_factory))


async def test_an_event_that_nobody_listens_to_is_published_all_the_same(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    event = a_job_transcribed()
    async with session_factory.begin() as session:
        outbox.add(session, JobStarted(job_id=event.job_id, owner_id=event.owner_id, attempt=1))
    async with running(OutboxRelay(engine, session_factory, broker, Outbox)):
        await eventually(lambda: _none_left(session_factory))


async def test_a_row_that_the_broker_refuses_does_not_hold_up_the_others(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    async with session_factory.begin() as session:
        outbox.add(session, a_job_transcribed("unroutable"))
    async with session_factory.begin() as session:
        # Straight to a queue that does not exist: the broker returns it.
        await session.execute(update(Outbox).values(exchange="jobs.own", routing_key="nowhere"))
        outbox.add(session, a_job_transcribed("fine"))
    async with relaying(engine, session_factory, broker) as ledger:
        await eventually(lambda: len(ledger.calls) == 1)

        async def put_off() -> bool:
            later = select(Outbox.available_at > func.now()).where(Outbox.published_at.is_(None))
            async with session_factory() as session:
                return bool(await session.scalar(later))

        await eventually(put_off)
    assert await notes(session_factory) == ["fine"]


async def test_the_age_of_the_oldest_unpublished_message_is_measured(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    async with session_factory.begin() as session:
        outbox.add(session, a_job_transcribed())
    async with session_factory.begin() as session:
        await session.execute(
            update(Outbox).values(
                exchange="jobs.own", routing_key="nowhere", available_at=func.now() - timedelta(minutes=5)
            )
        )
    await broker.close()
    async with running(OutboxRelay(engine, session_factory, broker, Outbox)):
        await eventually(
            lambda: 290 < (REGISTRY.get_sample_value("verbatim_outbox_oldest_unpublished_seconds") or 0) < 330
        )
    assert REGISTRY.get_sample_value("verbatim_outbox_unpublished") == 1


async def test_messages_published_long_ago_are_forgotten(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    for note, age in (("old", timedelta(days=2)), ("recent", timedelta(hours=1))):
        async with session_factory.begin() as session:
            outbox.add(session, a_job_transcribed(note))
        async with session_factory.begin() as session:
            await session.execute(
                update(Outbox).where(Outbox.published_at.is_(None)).values(published_at=func.now() - age)
            )
    async with session_factory.begin() as session:
        outbox.add(session, a_job_transcribed("new"))
    async with running(OutboxRelay(engine, session_factory, broker, Outbox)):
        await eventually(lambda: _rows(session_factory, 2))
        await eventually(lambda: _none_left(session_factory))
    assert await _rows(session_factory, 2)


async def test_the_request_that_caused_a_message_is_known_when_it_isconsumed(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    event = a_job_transcribed()
    with context.bound(correlation_id="the-request", traceparent=f"00-{trace}-b7ad6b7169203331-01"):
        async with session_factory.begin() as session:
            outbox.add(session, a_job_transcribed(job_id=event.job_id))
    seen = []

    async def look(_event: object, _session: object, _resources: None) -> None:
        seen.append((context.correlation_id(), context.traceparent(), context.job_id()))

    consumer = EventConsumer(
        broker,
        service=SERVICE,
        sessions=session_factory,
        inbox=Inbox,
        subscriptions=dict.fromkeys(SUBSCRIPTIONS, look),
        resources=None,
    )
    await consumer.start()
    async with running(OutboxRelay(engine, session_factory, broker, Outbox)):
        await eventually(lambda: len(seen) == 1)
    await consumer.stop()
    correlation_id, traceparent, job_id = seen[0]
    assert (correlation_id, job_id) == ("the-request", str(event.job_id))
    assert traceparent is not None
    assert traceparent.split("-")[1] == trace
    assert "b7ad6b7169203331" not in traceparent


async def _rows(session_factory: Sessions, expected: int) -> bool:
    async with session_factory() as session:
        return await session.scalar(select(func.count()).select_from(Outbox)) == expected


async def _none_left(session_factory: Sessions) -> bool:
    return await unpublished(session_factory) == 0


async def _are(session_factory: Sessions, expected: list[str]) -> bool:
    return await notes(session_factory) == expected
