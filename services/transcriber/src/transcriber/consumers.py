"""Consume work (plan, chunk and verify for each model, assemble) and the control messages that concern a worker."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from common.events import AssembleWork, CancelJob, ChunkWork, Command, JobOptions, PauseWorkers, PlanWork, VerifyWork
from common.messaging import Broker, Delivery, ExclusiveExecution, Listener, RetryLater, WorkConsumer
from common.storage import ObjectMissing, StoreUnavailable

from . import metrics
from .errors import NoRoom, WorkCancelled
from .work.assembler import Assembler
from .work.batching import Batcher
from .work.cancellations import Cancellations
from .work.planner import Planner
from .work.transcriber import Transcriber
from .work.verifier import Verifier
from .work.worker import Worker

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Resources:
    """What the handlers need."""

    worker: Worker
    planner: Planner
    transcriber: Transcriber
    verifier: Verifier
    assembler: Assembler
    batcher: Batcher
    cancellations: Cancellations


async def on_plan(work: PlanWork, delivery: Delivery, resources: Resources) -> None:  # noqa: ARG001 (a handler's shape)
    """Decode a recording and cut it into chunks."""
    await resources.planner.plan(work)


async def on_chunk(work: ChunkWork, delivery: Delivery, resources: Resources) -> None:
    """Transcribe a chunk."""
    await resources.transcriber.transcribe(work, delivery=delivery.count)


async def on_verify(work: VerifyWork, delivery: Delivery, resources: Resources) -> None:
    """Transcribe a chunk again and compare the results."""
    await resources.verifier.verify(work, delivery=delivery.count)


async def on_assemble(work: AssembleWork, delivery: Delivery, resources: Resources) -> None:  # noqa: ARG001 (likewise)
    """Merge the results of an attempt into its transcript."""
    await resources.assembler.assemble(work)


async def on_control(key: str, body: bytes, resources: Resources) -> None:
    """Store which jobs are cancelled and whether this worker is paused; ignore every other control message."""
    if key == CancelJob.name:
        notice = CancelJob.model_validate_json(body)
        resources.cancellations.add(notice.job_id, notice.attempt)
        log.info("job cancelled", job_id=str(notice.job_id), attempt=notice.attempt)
    elif key == PauseWorkers.name:
        resources.worker.paused = resources.worker.name in PauseWorkers.model_validate_json(body).workers


class Consumers:
    """All consumers of this process, started and stopped together."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._resources: Resources | None = None
        self._listener: Listener | None = None
        self._consumers: list[WorkConsumer[Any]] = []
        self._paused = False

    async def start(self, resources: Resources) -> None:
        """Start to consume: control messages first, so that no cancellation is missed; a second call does nothing."""
        if self._resources is not None:
            return
        exclusive = ExclusiveExecution()
        consumers = [
            self._consumer(command, queue, handler, resources, exclusive)
            for command, handler in SUBSCRIPTIONS.items()
            for queue in _queues(command, resources.worker.models)
        ]

        async def on_message(key: str, body: bytes) -> None:
            await on_control(key, body, resources)
            await self._apply_pause()

        listener = await self._broker.listen("control", [CancelJob.name, PauseWorkers.name], on_message)
        try:
            for consumer in consumers:
                await consumer.start()
        except BaseException:
            await _stop(consumers, listener, 0.0)
            raise
        self._resources, self._listener, self._consumers = resources, listener, consumers
        log.info("consuming work", models=resources.worker.models)
        await self._apply_pause()

    async def stop(self, timeout: float) -> None:
        """Stop to consume, finish running work within `timeout` seconds, requeue the rest."""
        self._resources = None
        if self._listener is not None:
            await _stop(self._consumers, self._listener, timeout)

    async def check(self) -> None:
        """Raise unless every queue is consumed or the worker is paused."""
        if self._resources is None:
            raise ConnectionError("the consumers have not started yet")
        if self._resources.worker.paused:
            return
        for consumer in self._consumers:
            await consumer.check()

    async def _apply_pause(self) -> None:
        """Pause or resume the consumers as the worker's state says; running work continues."""
        if self._resources is None or self._resources.worker.paused == self._paused:
            return
        worker = self._resources.worker
        paused = worker.paused
        for consumer in self._consumers:
            await (consumer.pause() if paused else consumer.resume())
        self._paused = paused
        log.warning("worker paused" if paused else "worker resumed", worker=worker.name)

    def _consumer(
        self, command: type[Command], queue: str, handler: Any, resources: Resources, exclusive: ExclusiveExecution
    ) -> WorkConsumer[Any]:
        async def handle(work: Any, delivery: Delivery) -> None:
            with resources.worker.busy_with(command.name, work.key):
                try:
                    if isinstance(work, ChunkWork) and not delivery.extra and delivery.count == 1:
                        await resources.batcher.fill(work, consumer.take_more)
                    await handler(work, delivery, resources)
                except WorkCancelled:
                    _drop(command, work)
                except ObjectMissing:
                    # The files of a deleted job are gone before its last messages are.
                    if not resources.cancellations.contain(work.job_id, work.attempt):
                        raise
                    _drop(command, work)
                except (StoreUnavailable, NoRoom) as error:
                    raise RetryLater(str(error)) from error

        consumer: WorkConsumer[Any] = WorkConsumer(
            self._broker, queue=queue, command=command, handler=handle, exclusive=exclusive
        )
        return consumer


def _drop(command: type[Command], work: Any) -> None:
    metrics.CANCELLED.labels(command.name).inc()
    log.info("work dropped, job cancelled", key=work.key)


async def _stop(consumers: Sequence[WorkConsumer[Any]], listener: Listener, timeout: float) -> None:
    await asyncio.gather(*(consumer.stop(timeout) for consumer in consumers))
    await listener.close()


def _queues(command: type[Command], models: tuple[str, ...]) -> list[str]:
    """List the queues of a command: one, or one for each model."""
    if command in (ChunkWork, VerifyWork):
        unvalidated: Any = command  # the queue's name depends on the model only
        return [unvalidated.model_construct(options=JobOptions(model=model)).queue for model in models]
    return [command.model_construct().queue]


SUBSCRIPTIONS: Final[dict[type[Command], Callable[[Any, Delivery, Resources], Awaitable[None]]]] = {
    PlanWork: on_plan,
    ChunkWork: on_chunk,
    VerifyWork: on_verify,
    AssembleWork: on_assemble,
}
