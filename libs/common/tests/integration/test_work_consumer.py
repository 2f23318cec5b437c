"""The worker's entrance against a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from common import context
from common.events import PlanWork
from common.messaging import (
    Broker,
    BrokerUnavailable,
    Delivery,
    ExclusiveExecution,
    PublishFailed,
    RetryLater,
    WorkConsumer,
)
from common.messaging.envelope import Envelope
from common.settings import BrokerSettings
from common.testing import eventually
from common.testing.events import plan_work
from native.testing import RabbitServer

from .common_plumbing import consumed, dead_letters

pytestmark = pytest.mark.integration

Work = Callable[[PlanWork, Delivery], Coroutine[Any, Any, None]]


class Worker:
    """A handler that records its deliveries, and goes on only when the test lets it."""

    def __init__(self) -> None:
        """Begin blocked."""
        self.deliveries: list[tuple[PlanWork, Delivery]] = []
        self.finished: list[PlanWork] = []
        self.cancelled: list[PlanWork] = []
        self.go = asyncio.Event()

    async def __call__(self, command: PlanWork, delivery: Delivery) -> None:
        """Wait for the test."""
        self.deliveries.append((command, delivery))
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(command)
            raise
        self.finished.append(command)


def a_consumer(
    broker: Broker, handler: Work, prefetch: int = 1, exclusive: ExclusiveExecution | None = None
) -> WorkConsumer[PlanWork]:
    """A consumer of plan work that does not wait long before it puts something back."""
    return WorkConsumer(
        broker,
        queue="work.plan",
        command=PlanWork,
        handler=handler,
        prefetch=prefetch,
        retry_delay=0.05,
        exclusive=exclusive,
    )


@asynccontextmanager
async def working(
    broker: Broker, handler: Work, prefetch: int = 1, exclusive: ExclusiveExecution | None = None
) -> AsyncIterator[WorkConsumer[PlanWork]]:
    """Take plan work for the length of the block."""
    consumer = a_consumer(broker, handler, prefetch, exclusive)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def test_work_is_acknowledged_after_its_handler_returned(broker: Broker) -> None:
    worker = Worker()
    before = consumed("done", "work.plan", "work.plan")
    async with working(broker, worker):
        command = plan_work()
        await broker.publish(command)
        await eventually(lambda: len(worker.deliveries) == 1)
        worker.go.set()
        await eventually(lambda: consumed("done", "work.plan", "work.plan") == before + 1)
    assert worker.deliveries == [(command, Delivery(count=1, redelivered=False))]
    async with working(broker, worker):
        await asyncio.sleep(0.5)
    assert len(worker.deliveries) == 1


async def test_a_worker_holds_no_more_than_its_prefetch(broker: Broker) -> None:
    worker = Worker()
    async with working(broker, worker, prefetch=2):
        for _ in range(4):
            await broker.publish(plan_work())
        await eventually(lambda: len(worker.deliveries) == 2)
        await asyncio.sleep(0.3)
        assert len(worker.deliveries) == 2
        worker.go.set()
        await eventually(lambda: len(worker.finished) == 4)


async def test_a_worker_that_asks_for_more_gets_what_waits_and_no_more(broker: Broker) -> None:
    worker = Worker()
    async with working(broker, worker) as consumer:
        commands = [plan_work() for _ in range(3)]
        for command in commands:
            await broker.publish(command)
        await eventually(lambda: len(worker.deliveries) == 1)
        assert await consumer.take_more() == commands[1]
        assert await consumer.take_more() == commands[2]
        assert await consumer.take_more() is None
        await eventually(lambda: len(worker.deliveries) == 3)
        assert [delivery.extra for _, delivery in worker.deliveries] == [False, True, True]
        worker.go.set()
        await eventually(lambda: len(worker.finished) == 3)
        await consumer.pause()
        await broker.publish(plan_work())
        assert await consumer.take_more() is None, "a worker that is paused takes nothing"


async def test_work_goes_on_when_the_broker_dies_and_the_redelivery_attaches_to_it(
    broker: Broker, rabbitmq_server: RabbitServer
) -> None:
    worker = Worker()
    done = consumed("done", "work.plan", "work.plan")
    reattached = consumed("reattached", "work.plan", "work.plan")
    async with working(broker, worker) as consumer:
        await asyncio.sleep(2)  # queues of a broker killed within a second of their declaration are lost
        await broker.publish(plan_work())
        await eventually(lambda: len(worker.deliveries) == 1)
        await rabbitmq_server.kill()
        await eventually(lambda: _fails(consumer))
        await rabbitmq_server.start()
        await eventually(lambda: consumed("reattached", "work.plan", "work.plan") == reattached + 1)
        await consumer.check()
        assert worker.cancelled == []
        worker.go.set()
        await eventually(lambda: consumed("done", "work.plan", "work.plan") == done + 1)
        await broker.publish(plan_work())
        await eventually(lambda: len(worker.finished) == 2)
    assert len(worker.deliveries) == 2, "the first command was worked on once"


async def test_work_finished_while_the_broker_was_away_is_not_done_again(
    broker: Broker, rabbitmq_server: RabbitServer
) -> None:
    worker = Worker()
    duplicates = consumed("duplicate", "work.plan", "work.plan")
    async with working(broker, worker):
        await asyncio.sleep(2)  # queues of a broker killed within a second of their declaration are lost
        await broker.publish(plan_work())
        await eventually(lambda: len(worker.deliveries) == 1)
        await rabbitmq_server.kill()
        worker.go.set()
        await eventually(lambda: len(worker.finished) == 1)
        await rabbitmq_server.start()
        await eventually(lambda: consumed("duplicate", "work.plan", "work.plan") == duplicates + 1)
    assert len(worker.deliveries) == 1


async def test_the_same_work_commanded_again_is_done_again(broker: Broker) -> None:
    worker = Worker()
    worker.go.set()
    first = plan_work()
    async with working(broker, worker):
        await broker.publish(first)
        await eventually(lambda: len(worker.finished) == 1)
        again = plan_work(first.job_id)
        assert again.key == first.key
        await broker.publish(again)
        await eventually(lambda: len(worker.finished) == 2)


async def test_a_command_for_work_in_hand_attaches_to_it(broker: Broker) -> None:
    worker = Worker()
    done = consumed("done", "work.plan", "work.plan")
    reattached = consumed("reattached", "work.plan", "work.plan")
    first = plan_work()
    async with working(broker, worker, prefetch=2):
        await broker.publish(first)
        await broker.publish(plan_work(first.job_id))
        await eventually(lambda: consumed("reattached", "work.plan", "work.plan") == reattached + 1)
        worker.go.set()
        await eventually(lambda: consumed("done", "work.plan", "work.plan") == done + 2)
    assert len(worker.deliveries) == 1


async def test_the_third_failure_dead_letters_a_command(broker: Broker) -> None:
    deliveries: list[Delivery] = []

    async def fail(_command: PlanWork, delivery: Delivery) -> None:
        deliveries.append(delivery)
        raise RuntimeError("out of memory")

    async with dead_letters(broker) as dead, working(broker, fail):
        command = plan_work()
        await broker.publish(command)
        await eventually(lambda: len(dead) == 1)
    assert deliveries == [Delivery(1, redelivered=False), Delivery(2, redelivered=True), Delivery(3, redelivered=True)]
    assert (dead[0].queue, dead[0].reason, dead[0].count) == ("work.plan", "delivery_limit", 3)
    assert (dead[0].routing_key, dead[0].message_type) == ("work.plan", "work.plan")
    assert PlanWork.model_validate_json(dead[0].body) == command


async def test_a_worker_that_cannot_now_costs_no_delivery(broker: Broker) -> None:
    refusals, seen = 6, []

    async def handler(_command: PlanWork, delivery: Delivery) -> None:
        seen.append(delivery.count)
        if len(seen) <= refusals:
            raise RetryLater("the disk is full") if len(seen) % 2 else PublishFailed("the broker did not confirm")

    before = consumed("done", "work.plan", "work.plan")
    async with working(broker, handler):
        await broker.publish(plan_work())
        await eventually(lambda: consumed("done", "work.plan", "work.plan") == before + 1)
    assert seen == [1] * (refusals + 1)


async def test_work_that_failed_before_runs_alone(broker: Broker) -> None:
    running: list[str] = []
    together: list[set[str]] = []
    go = asyncio.Event()
    suspect, neighbour, late = plan_work(), plan_work(), plan_work()
    exclusive = ExclusiveExecution()

    async def handler(command: PlanWork, delivery: Delivery) -> None:
        if command == suspect and not delivery.redelivered:
            raise RuntimeError("the engine died")
        running.append(command.key)
        together.append(set(running))
        await go.wait()
        running.remove(command.key)

    async with working(broker, handler, prefetch=3, exclusive=exclusive):
        await broker.publish(neighbour)
        await eventually(lambda: running == [neighbour.key])
        await broker.publish(suspect)
        await eventually(lambda: exclusive.requested)
        await broker.publish(late)
        await asyncio.sleep(0.5)
        assert running == [neighbour.key], "the suspect waits until it is alone, and others behind it"
        go.set()
        await eventually(lambda: len(together) == 3)
    assert {suspect.key} in together


async def test_a_second_suspect_is_handed_back_and_stays_one(broker: Broker) -> None:
    first, second = plan_work(), plan_work()
    seen: list[tuple[str, int, bool]] = []
    go = asyncio.Event()

    async def handler(command: PlanWork, delivery: Delivery) -> None:
        if not delivery.redelivered:
            raise RuntimeError("the engine died")
        seen.append((command.key, delivery.count, delivery.redelivered))
        await go.wait()

    before = consumed("handed_back", "work.plan", "work.plan")
    async with working(broker, handler, prefetch=2):
        for command in (first, second):
            await broker.publish(command)
        await eventually(lambda: consumed("handed_back", "work.plan", "work.plan") >= before + 4)
        assert len(seen) == 1, "more refusals than deliveries are allowed, and only one of them runs"
        go.set()
        await eventually(lambda: len(seen) == 2)
    assert {key for key, _, _ in seen} == {first.key, second.key}
    assert (seen[1][1], seen[1][2]) == (1, True)


async def test_a_command_that_cannot_be_read_is_dead_lettered_at_once(broker: Broker) -> None:
    worker = Worker()
    async with dead_letters(broker) as dead, working(broker, worker):
        await broker.send(Envelope("work", "work.plan", "an-id", "work.plan", "c", None, b'{"job_id": 7}'))
        await eventually(lambda: len(dead) == 1)
    assert dead[0].reason == "rejected"
    assert worker.deliveries == []


async def test_stopping_waits_for_work_that_ends_in_time(broker: Broker) -> None:
    worker = Worker()
    consumer = a_consumer(broker, worker)
    await consumer.start()
    await broker.publish(plan_work())
    await eventually(lambda: len(worker.deliveries) == 1)
    stopping = asyncio.create_task(consumer.stop(timeout=10))
    await asyncio.sleep(0.2)
    worker.go.set()
    await asyncio.wait_for(stopping, 5)
    assert len(worker.finished) == 1
    async with working(broker, worker):
        await asyncio.sleep(0.5)
    assert len(worker.deliveries) == 1, "it was acknowledged"


async def test_stopping_hands_unfinished_work_back_without_counting_a_delivery(broker: Broker) -> None:
    worker = Worker()
    command = plan_work()
    await broker.publish(command)
    for turn in range(1, 6):
        consumer = a_consumer(broker, worker)
        await consumer.start()
        await eventually(lambda: len(worker.deliveries), turn.__eq__)
        await consumer.stop(timeout=0.05)
        assert len(worker.cancelled) == turn
    assert {delivery.count for _, delivery in worker.deliveries} == {1}
    worker.go.set()
    async with working(broker, worker):
        await eventually(lambda: worker.finished == [command])


async def test_work_of_a_killed_worker_goes_to_another_one(broker: Broker, broker_settings: BrokerSettings) -> None:
    doomed, survivor = Worker(), Worker()
    killed = await Broker.connect(broker_settings, "doomed")
    consumer = a_consumer(killed, doomed)
    await consumer.start()
    await broker.publish(plan_work())
    await eventually(lambda: len(doomed.deliveries) == 1)
    await killed.close()
    survivor.go.set()
    async with working(broker, survivor):
        await eventually(lambda: len(survivor.finished) == 1)
    assert survivor.deliveries[0][1] == Delivery(count=2, redelivered=True)
    await consumer.stop()


async def test_what_caused_the_command_is_known_to_the_work(broker: Broker) -> None:
    seen: list[tuple[str | None, str | None, str | None]] = []

    async def look(_command: PlanWork, _delivery: Delivery) -> None:
        seen.append((context.correlation_id(), context.job_id(), context.traceparent()))

    trace = "0af7651916cd43dd8448eb211c80319c"
    with context.bound(correlation_id="the-request", traceparent=f"00-{trace}-b7ad6b7169203331-01"):
        command = plan_work()
        async with working(broker, look):
            await broker.publish(command)
            await eventually(lambda: len(seen) == 1)
    correlation_id, job_id, traceparent = seen[0]
    assert (correlation_id, job_id) == ("the-request", str(command.job_id))
    assert traceparent is not None
    assert traceparent.split("-")[1] == trace


async def _fails(consumer: WorkConsumer[PlanWork]) -> bool:
    try:
        await consumer.check()
    except BrokerUnavailable:
        return True
    return False
