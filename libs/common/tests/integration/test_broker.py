"""The broker's connections: what survives a restart, what is refused, what is broadcast."""

import asyncio
import json

import pytest
from aio_pika import connect
from sqlalchemy.ext.asyncio import AsyncEngine

from common.events import CancelJob, JobStarted
from common.events.work import ChunkWork
from common.logging import LogSink
from common.messaging import (
    Broker,
    BrokerUnavailable,
    LogPublisher,
    OutboxRelay,
    PublishFailed,
    PublishRefused,
    QueueConsumer,
    RawMessage,
    outbox,
    records_of,
)
from common.messaging.envelope import Envelope
from common.settings import BrokerSettings
from common.testing import eventually
from common.testing.events import chunk_work, plan_work
from native.testing import RabbitServer, free_port

from .common_plumbing import Ledger, Outbox, Sessions, a_job_transcribed, consuming, notes, running, unpublished

pytestmark = pytest.mark.integration


async def test_nothing_is_lost_and_everything_resumes_when_the_broker_is_killed(
    engine: AsyncEngine, session_factory: Sessions, broker: Broker, rabbitmq_server: RabbitServer
) -> None:
    ledger = Ledger()
    heard: list[str] = []

    async def hear(key: str, _body: bytes) -> None:
        heard.append(key)

    listener = await broker.listen("control", ["#"], hear)
    reconnects: list[str] = []
    broker.on_reconnect(lambda: reconnects.append("back"))
    expected = []
    async with (
        consuming(broker, session_factory, ledger) as consumer,
        running(OutboxRelay(engine, session_factory, broker, Outbox)) as relay,
    ):
        await asyncio.sleep(2)  # queues of a broker killed within a second of their declaration are lost
        for moment in ("before", "while", "after"):
            if moment == "while":
                assert not reconnects
                await rabbitmq_server.kill()
                with pytest.raises(BrokerUnavailable):
                    await broker.check()
            if moment == "after":
                await rabbitmq_server.start()
            for number in range(100):
                expected.append(f"{moment} {number}")
                async with session_factory.begin() as session:
                    outbox.add(session, a_job_transcribed(expected[-1]))
        await eventually(lambda: _number(session_factory, 300))
        assert await unpublished(session_factory) == 0
        assert not relay.done()
        await broker.check()
        await consumer.check()
        await broker.broadcast(CancelJob(job_id=plan_work().job_id))
        await eventually(lambda: heard == ["control.cancel_job"])
        assert reconnects == ["back"]
    assert sorted(await notes(session_factory)) == sorted(expected)
    await listener.close()


async def test_publishing_fails_soon_while_the_broker_hangs(broker: Broker, rabbitmq_server: RabbitServer) -> None:
    await rabbitmq_server.pause()
    try:
        begun = asyncio.get_running_loop().time()
        with pytest.raises(PublishFailed):
            await broker.publish(plan_work())
        assert asyncio.get_running_loop().time() - begun < 8
    finally:
        await rabbitmq_server.resume()
    await broker.publish(plan_work(), retry_seconds=20)


async def test_a_patient_publisher_waits_for_the_broker(broker: Broker, rabbitmq_server: RabbitServer) -> None:
    await asyncio.sleep(2)  # queues of a broker killed within a second of their declaration are lost
    await rabbitmq_server.kill()
    publishing = asyncio.create_task(broker.publish(plan_work(), retry_seconds=60))
    await asyncio.sleep(1)
    assert not publishing.done()
    await rabbitmq_server.start()
    await asyncio.wait_for(publishing, 30)


async def test_a_message_that_no_queue_takes_is_refused(broker: Broker) -> None:
    with pytest.raises(PublishRefused):
        await broker.send(Envelope("test.own", "nowhere", "an-id", "a.type", "c", None, b""))
    event = a_job_transcribed()
    await broker.publish(JobStarted(job_id=event.job_id, owner_id=event.owner_id, attempt=1))


async def test_chunk_work_gets_a_queue_for_its_model(broker: Broker, broker_settings: BrokerSettings) -> None:
    work = chunk_work(model="tiny.en")
    await broker.publish(work)
    async with await connect(broker_settings.broker_url) as other:
        queue = await (await other.channel()).declare_queue("work.chunk.tiny.en", passive=True)
        message = await queue.get()
    assert ChunkWork.model_validate_json(message.body) == work
    assert (message.message_id, message.type, message.correlation_id) == (
        str(work.event_id),
        "work.chunk",
        work.correlation_id,
    )


async def test_every_process_hears_a_broadcast(broker: Broker, broker_settings: BrokerSettings) -> None:
    other = await Broker.connect(broker_settings, "other")
    heard: list[tuple[str, bytes]] = []

    async def hear(key: str, body: bytes) -> None:
        heard.append((key, body))

    listeners = [await each.listen("control", ["#"], hear) for each in (broker, other)]
    notice = CancelJob(job_id=plan_work().job_id)
    await broker.broadcast(notice)
    await eventually(lambda: len(heard) == 2)
    assert {key for key, _ in heard} == {"control.cancel_job"}
    assert CancelJob.model_validate_json(heard[0][1]) == notice
    await listeners[0].close()
    await broker.broadcast(notice)
    await eventually(lambda: len(heard) == 3)
    await listeners[1].close()
    await other.close()


async def test_a_listener_hears_what_it_asked_for_in_order_and_outlives_its_own_errors(broker: Broker) -> None:
    heard: list[str] = []

    async def hear(_key: str, body: bytes) -> None:
        heard.extend(json.loads(record)["event"] for record in records_of(body))
        if heard[-1] == "0":
            raise ValueError("callback failed")

    listener = await broker.listen("logs", ["*.*.job-7"], hear)
    sink = LogSink()
    publisher = asyncio.create_task(LogPublisher(broker, sink).run())
    sink.put({"service": "jobs", "level": "info", "job_id": "job-7", "event": "0"})
    await eventually(lambda: heard == ["0"])
    for number in range(1, 100):
        sink.put({"service": "jobs", "level": "info", "job_id": "job-8", "event": "of another job"})
        sink.put({"service": "jobs", "level": "info", "job_id": "job-7", "event": str(number)})
    await eventually(lambda: len(heard) == 100)
    assert heard == [str(number) for number in range(100)]
    publisher.cancel()
    await asyncio.wait([publisher])
    await listener.close()


async def test_log_records_are_archived_even_when_nobody_consumes_yet(broker: Broker) -> None:
    sink = LogSink()
    publisher = asyncio.create_task(LogPublisher(broker, sink).run())
    for number in range(500):
        sink.put({"service": "auth", "level": "info", "event": str(number), "log_id": f"{number:032d}"})
    batches: list[list[RawMessage]] = []
    failures = [RuntimeError("no database")]

    async def archive(batch: list[RawMessage]) -> None:
        if failures:
            raise failures.pop()
        batches.append(batch)

    consumer = QueueConsumer(broker, queue="jobs.logs", callback=archive)
    await consumer.start()
    await consumer.check()

    def archived() -> list[str]:
        messages = [message for batch in batches for message in batch]
        return [json.loads(record)["event"] for message in messages for record in records_of(message.body)]

    await eventually(lambda: len(archived()) == 500)
    await consumer.stop()
    assert archived() == [str(number) for number in range(500)]
    message = batches[0][0]
    assert (message.routing_key, message.queue, message.reason) == ("auth.info.-", "jobs.logs", None)
    publisher.cancel()
    await asyncio.wait([publisher])


async def test_the_sink_keeps_log_records_while_the_broker_is_away(
    broker: Broker, rabbitmq_server: RabbitServer
) -> None:
    archived: set[int] = set()

    async def archive(batch: list[RawMessage]) -> None:
        archived.update(json.loads(record)["number"] for message in batch for record in records_of(message.body))

    consumer = QueueConsumer(broker, queue="jobs.logs", callback=archive)
    await consumer.start()
    sink = LogSink()
    publisher = asyncio.create_task(LogPublisher(broker, sink).run())
    await asyncio.sleep(2)  # queues of a broker killed within a second of their declaration are lost
    await rabbitmq_server.kill()
    await eventually(lambda: not broker.connected)
    starting = asyncio.create_task(rabbitmq_server.start())
    number = 0
    # On through the moment in which the connection is up and its channels are not yet.
    while not (starting.done() and broker.connected):
        number += 1
        sink.put({"service": "jobs", "level": "info", "number": number})
        await asyncio.sleep(0.005)
    await starting
    await eventually(lambda: number in archived)  # records keep their order: what is missing then is lost
    assert archived == set(range(1, number + 1))
    publisher.cancel()
    await asyncio.wait([publisher])
    await consumer.stop()


async def test_closing_does_not_wait_for_an_absent_broker(
    broker_settings: BrokerSettings, session_factory: Sessions, rabbitmq_server: RabbitServer
) -> None:
    broker = await Broker.connect(broker_settings, "leaving")
    async with consuming(broker, session_factory, Ledger()) as consumer:
        await asyncio.sleep(2)  # queues of a broker killed within a second of their declaration are lost
        await rabbitmq_server.kill()
        begun = asyncio.get_running_loop().time()
        await consumer.stop()
        await broker.close()
        assert asyncio.get_running_loop().time() - begun < 10
    await rabbitmq_server.start()


async def test_an_absent_broker_is_waited_for_and_then_reported() -> None:
    nowhere = BrokerSettings(broker_url=f"amqp://u:secret@127.0.0.1:{free_port()}/", broker_connect_attempts=2)
    with pytest.raises(BrokerUnavailable, match="2 attempts") as raised:
        await Broker.connect(nowhere, "test")
    assert "secret" not in str(raised.value)


async def _number(session_factory: Sessions, expected: int) -> bool:
    return len(await notes(session_factory)) == expected
