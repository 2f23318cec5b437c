"""The service's entrance for events against a real database and a real broker."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from aio_pika import connect
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from common.events import JobDeleted
from common.messaging import Broker, BrokerUnavailable
from common.messaging.envelope import Envelope
from common.settings import BrokerSettings
from common.storage import StoreUnavailable
from common.testing import eventually
from native.testing import PostgresServer

from .common_plumbing import Inbox, Ledger, Sessions, a_job_transcribed, consumed, consuming, dead_letters, notes

pytestmark = pytest.mark.integration


def an_envelope(body: bytes, name: str = "job.transcribed.v1") -> Envelope:
    """Something that claims to be an event."""
    return Envelope("events", name, "an-id", name, "a-correlation", None, body)


async def test_an_event_is_handled_once_however_often_it_is_published(
    session_factory: Sessions, broker: Broker
) -> None:
    ledger = Ledger()
    event = a_job_transcribed("once")
    before = consumed("duplicate")
    async with consuming(broker, session_factory, ledger):
        for _ in range(3):
            await broker.publish(event)
        await eventually(lambda: consumed("duplicate") == before + 2)
    assert await notes(session_factory) == ["once"]
    assert len(ledger.calls) == 1


async def test_a_poison_message_is_dead_lettered_at_once(session_factory: Sessions, broker: Broker) -> None:
    ledger = Ledger()
    async with dead_letters(broker) as dead, consuming(broker, session_factory, ledger):
        await broker.send(an_envelope(b"this is no JSON"))
        await eventually(lambda: len(dead) == 1)
    assert (dead[0].queue, dead[0].reason, dead[0].body) == ("metadata.events", "rejected", b"this is no JSON")
    assert (dead[0].count, dead[0].message_type, dead[0].routing_key) == (1, "job.transcribed.v1", "job.transcribed.v1")
    assert dead[0].correlation_id == "a-correlation"
    assert ledger.calls == []


async def test_a_handler_that_always_fails_sends_its_event_to_the_dead_letters_after_five_deliveries(
    session_factory: Sessions, broker: Broker
) -> None:
    ledger = Ledger()
    ledger.fail_with(*(ValueError(f"failure {number}") for number in range(10)))
    async with dead_letters(broker) as dead, consuming(broker, session_factory, ledger):
        await broker.publish(a_job_transcribed("doomed"))
        await eventually(lambda: len(dead) == 1)
        assert (dead[0].queue, dead[0].reason, dead[0].count) == ("metadata.events", "delivery_limit", 5)
        assert len(ledger.calls) == 5
        await broker.publish(JobDeleted(job_id=ledger.calls[0].event_id, owner_id=ledger.calls[0].event_id))
        await eventually(lambda: len(ledger.calls) == 6)
    assert await notes(session_factory) == ["deleted"], "a failed handler leaves nothing behind"
    async with session_factory() as session:
        assert await session.scalar(select(func.count()).select_from(Inbox)) == 1


async def test_a_failing_event_takes_none_of_those_along_that_came_with_it(
    session_factory: Sessions, broker: Broker
) -> None:
    ledger = Ledger()
    async with dead_letters(broker) as dead:
        events = [a_job_transcribed(str(number)) for number in range(20)]
        ledger.poison = "7"
        for event in (*events, events[3]):  # they lie in the queue when the consumer comes, and one lies there twice
            await broker.publish(event)
        async with consuming(broker, session_factory, ledger):
            await eventually(lambda: len(dead) == 1)
            assert json.loads(dead[0].body)["event_id"] == str(events[7].event_id)
    assert sorted(await notes(session_factory)) == sorted(str(number) for number in range(20) if number != 7)


async def test_an_event_is_kept_and_tried_again_while_something_it_needs_is_away(
    session_factory: Sessions, broker: Broker
) -> None:
    ledger = Ledger()
    ledger.fail_with(StoreUnavailable("no store"), StoreUnavailable("no store"), TimeoutError())
    before = consumed("requeued")
    async with consuming(broker, session_factory, ledger):
        await broker.publish(a_job_transcribed("patient"))
        await eventually(lambda: len(ledger.calls) == 4)
        await eventually(lambda: _are(session_factory, ["patient"]))
    assert consumed("requeued") == before


async def test_events_survive_an_outage_of_the_database(
    session_factory: Sessions, engine: AsyncEngine, broker: Broker, postgres_server: PostgresServer
) -> None:
    ledger = Ledger()
    async with dead_letters(broker) as dead, consuming(broker, session_factory, ledger):
        await postgres_server.kill()
        for number in range(20):
            await broker.publish(a_job_transcribed(f"{number:02d}"))
        await asyncio.sleep(2)  # each event is tried several times in vain
        await postgres_server.start()
        await eventually(lambda: _number(session_factory, 20))
        assert dead == []


async def test_events_of_one_job_are_handled_in_the_order_of_their_arrival(
    session_factory: Sessions, broker: Broker
) -> None:
    ledger = Ledger()
    job = a_job_transcribed().job_id
    for number in range(100):
        await broker.publish(a_job_transcribed(f"{number:03d}", job_id=job))
    async with consuming(broker, session_factory, ledger):
        await eventually(lambda: len(ledger.calls) == 100)
        await eventually(lambda: _number(session_factory, 100))
    assert await notes(session_factory) == [f"{number:03d}" for number in range(100)]


async def test_an_event_published_before_its_first_consumer_came_is_kept(
    session_factory: Sessions, broker: Broker
) -> None:
    await broker.publish(a_job_transcribed("early"))
    ledger = Ledger()
    async with consuming(broker, session_factory, ledger):
        await eventually(lambda: len(ledger.calls) == 1)


async def test_stopping_during_an_outage_hands_the_event_back_uncounted(
    session_factory: Sessions, broker: Broker
) -> None:
    ledger = Ledger()
    ledger.fail_with(*(StoreUnavailable("no store") for _ in range(100)))
    async with consuming(broker, session_factory, ledger):
        await broker.publish(a_job_transcribed("kept"))
        await eventually(lambda: len(ledger.calls) >= 2)
    ledger.failures.clear()
    ledger.fail_with(*(ValueError("failure") for _ in range(4)))  # all the deliveries it has left, if none was counted
    async with dead_letters(broker) as dead, consuming(broker, session_factory, ledger):
        await eventually(lambda: _are(session_factory, ["kept"]))
        assert dead == []


async def test_a_consumer_that_the_broker_cancelled_says_so_and_consumes_again(
    session_factory: Sessions, broker: Broker, broker_settings: BrokerSettings
) -> None:
    ledger = Ledger()
    async with consuming(broker, session_factory, ledger) as consumer:
        await consumer.check()
        async with await connect(broker_settings.broker_url) as other:
            channel = await other.channel()
            await channel.queue_delete("metadata.events")
            await eventually(lambda: _fails(consumer.check))
        await eventually(lambda: _succeeds(consumer.check))
        await broker.publish(a_job_transcribed("after all"))
        await eventually(lambda: len(ledger.calls) == 1)


async def test_marks_of_events_handled_long_ago_are_forgotten(session_factory: Sessions, broker: Broker) -> None:
    async with session_factory.begin() as session:
        for days in (1, 31):
            received = func.now() - timedelta(days=days)
            await session.execute(insert(Inbox).values(consumer="metadata", event_id=uuid4(), received_at=received))
    async with consuming(broker, session_factory, Ledger()):
        await eventually(lambda: _marks(session_factory, 1))


async def _marks(session_factory: Sessions, expected: int) -> bool:
    async with session_factory() as session:
        return await session.scalar(select(func.count()).select_from(Inbox)) == expected


async def _are(session_factory: Sessions, expected: list[str]) -> bool:
    return await notes(session_factory) == expected


async def _number(session_factory: Sessions, expected: int) -> bool:
    try:
        return len(await notes(session_factory)) == expected
    except OSError:
        return False  # the database is still starting


async def _fails(check: Callable[[], Awaitable[None]]) -> bool:
    try:
        await check()
    except BrokerUnavailable:
        return True
    return False


async def _succeeds(check: Callable[[], Awaitable[None]]) -> bool:
    return not await _fails(check)
