"""What messaging decides without a broker."""

import asyncio
import subprocess
import sys

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common import context, database, messaging
from common.events import SUBSCRIBERS, Event, JobCreated, JobDeleted, JobStarted, JobTranscribed, UserDeleted
from common.messaging import Broker, EventConsumer, Subscriptions, envelope
from common.messaging.envelope import Envelope
from common.messaging.topology import EXCHANGES, event_queue, standing_queues, work_queue
from common.settings import BrokerSettings
from common.testing.events import chunk_work

JOB = JobDeleted.model_validate({"job_id": "11111111-1111-4111-8111-111111111111", "owner_id": "1" * 32}).job_id


async def on_transcribed(_event: JobTranscribed, _session: AsyncSession, _resources: None) -> None:
    """React."""


async def on_deleted(_event: JobDeleted, _session: AsyncSession, _resources: None) -> None:
    """React."""


async def on_any(_event: Event, _session: AsyncSession, _resources: None) -> None:
    """React."""


def a_consumer(subscriptions: Subscriptions[None]) -> EventConsumer[None]:
    """A consumer that is wired and never started."""
    return EventConsumer(
        Broker(BrokerSettings(broker_url="amqp://nowhere/"), "test"),
        service="metadata",
        sessions=async_sessionmaker(),
        inbox=database.InboxMixin,
        subscriptions=subscriptions,
        resources=None,
    )


def test_a_table_of_subscriptions_must_be_what_the_catalogue_says() -> None:
    everything: Subscriptions[None] = {
        JobCreated: on_any,
        JobTranscribed: on_transcribed,
        JobDeleted: on_deleted,
        UserDeleted: on_any,
    }
    a_consumer(everything)
    a_consumer(dict.fromkeys(everything, on_any))
    with pytest.raises(ValueError, match=r"metadata .* job\.deleted\.v1"):
        a_consumer({JobCreated: on_any, JobTranscribed: on_transcribed, UserDeleted: on_any})
    with pytest.raises(ValueError, match=r"job\.started\.v1"):
        a_consumer({**everything, JobStarted: on_any})


def test_a_handler_must_take_the_event_that_it_is_subscribed_to() -> None:
    with pytest.raises(TypeError, match="JobDeleted"):
        a_consumer({JobCreated: on_any, JobTranscribed: on_any, JobDeleted: on_transcribed, UserDeleted: on_any})


def test_an_event_travels_under_its_routing_key_and_a_command_to_its_queue() -> None:
    with context.bound(correlation_id="c", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
        event = JobDeleted(job_id=JOB, owner_id=JOB)
        told = Envelope.of(event)
    assert (told.exchange, told.routing_key, told.message_type) == ("events", "job.deleted.v1", "job.deleted.v1")
    assert (told.message_id, told.correlation_id) == (str(event.event_id), "c")
    assert told.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    work = chunk_work(model="tiny")
    sent = Envelope.of(work)
    assert (sent.exchange, sent.routing_key, sent.message_type) == ("work", "work.chunk.tiny", "work.chunk")
    assert sent.traceparent is None


def test_it_is_an_error_when_no_queue_takes_a_message_unless_nobody_listens_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Envelope.of(JobDeleted(job_id=JOB, owner_id=JOB)).mandatory
    listeners: dict[type[Event], tuple[str, ...]] = {**SUBSCRIBERS, JobStarted: ()}
    monkeypatch.setattr(envelope, "SUBSCRIBERS", listeners)
    assert not Envelope.of(JobStarted(job_id=JOB, owner_id=JOB, attempt=1)).mandatory
    assert Envelope.of(chunk_work()).mandatory


def test_every_binding_is_to_a_known_exchange_and_every_kept_queue_has_dead_letters() -> None:
    queues = [*standing_queues(), work_queue("work.chunk.base")]
    assert {exchange for queue in queues for exchange, _ in queue.bindings} <= set(EXCHANGES)
    for queue in queues:
        if queue.name not in ("dead-letters", "jobs.logs"):
            assert queue.arguments["x-dead-letter-exchange"] == "dead"
            assert queue.arguments["x-overflow"] == "reject-publish", "what at-least-once dead-lettering needs"
    assert {queue.name for queue in queues} >= {"jobs.events", "metadata.events", "cleanup.events", "work.plan"}
    assert ("events", "job.deleted.v1") in event_queue("cleanup").bindings


def test_messaging_needs_no_database_until_it_is_asked_for_what_does() -> None:
    program = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "import common.messaging, common.storage\n"
        "from common.messaging import Broker, WorkConsumer, LogPublisher\n"
        "try:\n"
        "    common.messaging.EventConsumer\n"
        "except ImportError:\n"
        "    print('as expected')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "as expected\n", done.stderr


def test_a_name_that_messaging_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        messaging.no_such_thing  # noqa: B018 (the access is the test)


async def test_cancelled_connect_leaves_no_task_behind() -> None:
    async def never_answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    accepted: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        before = asyncio.all_tasks()
        connecting = asyncio.create_task(Broker.connect(BrokerSettings(broker_url=f"amqp://127.0.0.1:{port}/"), "test"))
        while not accepted:  # noqa: ASYNC110 - what is waited for has no event to set
            await asyncio.sleep(0.01)
        connecting.cancel()
        await asyncio.wait([connecting])
        assert asyncio.all_tasks() == before
        accepted[0].close()
