"""Messages in: plan work, chunk work for each model, assembly work, and cancellations."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog

from common.events import AssembleWork, CancelJob, ChunkWork, Command, JobOptions, PauseWorkers, PlanWork
from common.messaging import Broker, Delivery, Listener, WorkConsumer

from . import metrics
from .assembler import Assembler
from .cancellations import Cancellations
from .errors import WorkCancelled
from .planner import Planner
from .transcription import Transcriber
from .worker import Worker

log = structlog.get_logger(__name__)

_NOBODY: Final = UUID(int=0)


@dataclass(frozen=True)
class Resources:
    """What the handlers work with."""

    worker: Worker
    planner: Planner
    transcriber: Transcriber
    assembler: Assembler
    cancellations: Cancellations


async def on_plan(work: PlanWork, delivery: Delivery, resources: Resources) -> None:  # noqa: ARG001 (a handler's shape)
    """Decode a recording and cut it into chunks."""
    await resources.planner.plan(work)


async def on_chunk(work: ChunkWork, delivery: Delivery, resources: Resources) -> None:
    """Transcribe a chunk; after a failed delivery window by window, in case one of them kills the engine."""
    await resources.transcriber.transcribe(work, alone=delivery.count > 1)


async def on_assemble(work: AssembleWork, delivery: Delivery, resources: Resources) -> None:  # noqa: ARG001 (likewise)
    """Merge an attempt's results into its transcript."""
    await resources.assembler.assemble(work)


async def on_control(key: str, body: bytes, resources: Resources) -> None:
    """Remember which jobs are not wanted any more, and whether we are paused; the rest does not concern us."""
    if key == CancelJob.name:
        notice = CancelJob.model_validate_json(body)
        resources.cancellations.add(notice.job_id, notice.attempt)
        log.info("job cancelled", job_id=str(notice.job_id), attempt=notice.attempt)
    elif key == PauseWorkers.name:
        resources.worker.paused = resources.worker.name in PauseWorkers.model_validate_json(body).workers


class Consumers:
    """Everything this process takes from the bus, started and stopped together."""

    def __init__(self, broker: Broker, resources: Resources) -> None:
        self._broker = broker
        self._resources = resources
        self._listener: Listener | None = None
        self._consumers = [
            self._consumer(command, queue, handler)
            for command, handler in SUBSCRIPTIONS.items()
            for queue in _queues(command, resources.worker.models)
        ]
        self._started = self._paused = False

    async def start(self) -> None:
        """Begin to take work; cancellations are heard before the first of it."""
        self._listener = await self._broker.listen("control", ["#"], self._hear)
        for consumer in self._consumers:
            await consumer.start()
        self._started = True
        await self._obey()

    async def stop(self, timeout: float) -> None:
        """Take no more work, finish what is in hand within `timeout` seconds, hand the rest back."""
        self._started = False
        await asyncio.gather(*(consumer.stop(timeout) for consumer in self._consumers))
        if self._listener is not None:
            await self._listener.close()

    async def check(self) -> None:
        """Raise unless work of every kind can reach us, or somebody wants none of it to."""
        if not self._started:
            raise ConnectionError("no work is taken yet")
        if self._resources.worker.paused:
            return
        for consumer in self._consumers:
            await consumer.check()

    async def _hear(self, key: str, body: bytes) -> None:
        await on_control(key, body, self._resources)
        await self._obey()

    async def _obey(self) -> None:
        """Take work, or none while this worker is paused; what is in hand goes on."""
        paused = self._resources.worker.paused
        if not self._started or paused == self._paused:
            return
        for consumer in self._consumers:
            await (consumer.pause() if paused else consumer.resume())
        self._paused = paused
        log.warning("worker paused" if paused else "worker takes work again", worker=self._resources.worker.name)

    def _consumer(self, command: type[Command], queue: str, handler: Any) -> WorkConsumer[Any]:
        async def handle(work: Any, delivery: Delivery) -> None:
            with self._resources.worker.holding(command.name, work.key):
                try:
                    await handler(work, delivery, self._resources)
                except WorkCancelled:
                    metrics.CANCELLED.labels(command.name).inc()
                    log.info("work dropped, its job was cancelled", key=work.key)

        return WorkConsumer(self._broker, queue=queue, command=command, handler=handle)


def _queues(command: type[Command], models: tuple[str, ...]) -> list[str]:
    """The queues of a command, which names them itself: one, or one for each model."""
    if command is ChunkWork:
        return [
            ChunkWork(job_id=_NOBODY, attempt=0, chunk=0, language="en", options=JobOptions(model=model)).queue
            for model in models
        ]
    return [command.model_construct().queue]


SUBSCRIPTIONS: Final[dict[type[Command], Callable[[Any, Delivery, Resources], Awaitable[None]]]] = {
    PlanWork: on_plan,
    ChunkWork: on_chunk,
    AssembleWork: on_assemble,
}
