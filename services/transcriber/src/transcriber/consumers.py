"""Messages in: plan work, chunk work for each model, assembly work, and cancellations."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from common.events import AssembleWork, CancelJob, ChunkWork, Command, JobOptions, PauseWorkers, PlanWork, VerifyWork
from common.messaging import Broker, Caution, Delivery, Listener, NotNow, WorkConsumer
from common.storage import StoreUnavailable

from . import metrics
from .errors import NoRoom, WorkCancelled
from .speech.packing import CHUNK_WINDOWS
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
    """What the handlers work with."""

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
    """Transcribe a chunk, together with small ones of other jobs if they wait."""
    try:
        await resources.transcriber.transcribe(work, delivery=delivery.count)
    finally:
        await resources.batcher.arrived(work.key)


async def on_verify(work: VerifyWork, delivery: Delivery, resources: Resources) -> None:
    """Transcribe a chunk once more and compare."""
    await resources.verifier.verify(work, delivery=delivery.count)


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
        self._caution = Caution()
        self._consumers = [
            self._consumer(command, queue, handler)
            for command, handler in SUBSCRIPTIONS.items()
            for queue in _queues(command, resources.worker.models)
        ]
        self._started = self._paused = False

    async def start(self) -> None:
        """Begin to take work; cancellations are heard before the first of it."""
        self._listener = await self._broker.listen("control", [CancelJob.name, PauseWorkers.name], self._hear)
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
                    if isinstance(work, ChunkWork) and not delivery.extra and delivery.count == 1:
                        await self._fill(work, consumer)
                    await handler(work, delivery, self._resources)
                except WorkCancelled:
                    metrics.CANCELLED.labels(command.name).inc()
                    log.info("work dropped, its job was cancelled", key=work.key)
                except (StoreUnavailable, NoRoom) as error:
                    raise NotNow(str(error)) from error

        consumer: WorkConsumer[Any] = WorkConsumer(
            self._broker, queue=queue, command=command, handler=handle, caution=self._caution
        )
        return consumer

    async def _fill(self, work: ChunkWork, consumer: WorkConsumer[ChunkWork]) -> None:
        """Beside a small chunk take further ones that wait, so that they share a call of the engine."""
        windows = work.windows or CHUNK_WINDOWS
        while self._resources.batcher.sharing and windows < CHUNK_WINDOWS:
            further = await consumer.take_more()
            if further is None:
                return
            self._resources.batcher.expect([further.key])
            windows += further.windows or CHUNK_WINDOWS


def _queues(command: type[Command], models: tuple[str, ...]) -> list[str]:
    """The queues of a command, which names them itself: one, or one for each model."""
    if command in (ChunkWork, VerifyWork):
        unfinished: Any = command  # the model is all that names the queue
        return [unfinished.model_construct(options=JobOptions(model=model)).queue for model in models]
    return [command.model_construct().queue]


SUBSCRIPTIONS: Final[dict[type[Command], Callable[[Any, Delivery, Resources], Awaitable[None]]]] = {
    PlanWork: on_plan,
    ChunkWork: on_chunk,
    VerifyWork: on_verify,
    AssembleWork: on_assemble,
}
