"""Composition root of the transcriber: open what it needs, prepare the engine, consume work, stop in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI

from common.messaging import Broker
from common.service import open_service
from common.web import build_app
from common.web.server import EXIT_RESTART, end

from .audio.decoders import Decoders
from .consumers import Consumers, Resources
from .engines.process import EngineProcess, EngineSettings
from .service import TranscriberService
from .settings import Settings
from .work.assembler import Assembler
from .work.batching import BATCH, Batcher
from .work.cancellations import Cancellations
from .work.planner import Planner
from .work.store import CachingStore
from .work.transcriber import Transcriber
from .work.verifier import Verifier
from .work.worker import Worker
from .work.workspace import remove_orphans

log = structlog.get_logger(__name__)

NAME = "transcriber"


def create_app(settings: Settings) -> FastAPI:
    """Build the transcriber's application, which serves health checks only; it connects when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        remove_orphans(settings.work_dir)
        store = CachingStore(settings)
        async with open_service(app, settings, NAME, store=store) as frame:
            engine = EngineProcess(_engine_settings(settings))
            frame.close_with(engine.close)
            decoders = Decoders()
            frame.close_with(partial(asyncio.to_thread, decoders.close))
            service = TranscriberService(settings, engine)
            consumers = Consumers(frame.broker)

            async def consume() -> None:
                worker = await service.prepare()
                resources = _resources(
                    settings, worker, store=store, broker=frame.broker, engine=engine, decoders=decoders
                )
                await consumers.start(resources)
                await worker.send_heartbeats(frame.broker)

            frame.start("worker", consume)
            frame.start("device", lambda: _end_with_device(app, engine))
            frame.stop_with(partial(consumers.stop, settings.drain_seconds))
            frame.readiness.add("engine", service.check_engine)
            frame.readiness.add("consumers", consumers.check)
            yield

    return build_app(name=NAME, title="Verbatim transcriber", lifespan=lifespan, routers=[])


async def _end_with_device(app: FastAPI, engine: EngineProcess) -> None:
    """Shut the process down when its GPU fails: the next process passes the self-test before it consumes work."""
    await engine.device_failed.wait()
    log.error("GPU failed, shutting down for a restart")
    end(app, EXIT_RESTART)
    await asyncio.Event().wait()


def _engine_settings(settings: Settings) -> EngineSettings:
    return EngineSettings(
        model_dir=settings.model_dir,
        engine=settings.engine,
        device=settings.device,
        threads=settings.threads,
        encoder=settings.encoder,
        compute_type=settings.compute_type,
        environment=settings.environment,
        idle_seconds=settings.model_idle_seconds,
        gpu_device=settings.gpu_device,
    )


def _resources(
    settings: Settings,
    worker: Worker,
    *,
    store: CachingStore,
    broker: Broker,
    engine: EngineProcess,
    decoders: Decoders,
) -> Resources:
    cancellations = Cancellations()
    # On a GPU, CTranslate2's results may depend on the other windows of a batch; those of our torch engine do not.
    independent = not worker.on_gpu or worker.engine == "openai-whisper"
    batcher = Batcher(
        engine,
        sharing=settings.batch_across_jobs == "on" or (settings.batch_across_jobs == "auto" and independent),
        on_gpu=worker.on_gpu,
        capacity=max(BATCH, worker.batch_windows) if worker.on_gpu else BATCH,
    )
    transcriber = Transcriber(
        store=store, broker=broker, engine=engine, batcher=batcher, cancellations=cancellations, worker=worker.name
    )
    return Resources(
        worker=worker,
        planner=Planner(
            store=store,
            broker=broker,
            decoders=decoders,
            engine=engine,
            models=worker.models,
            cancellations=cancellations,
            work_dir=settings.work_dir,
            max_seconds=settings.max_audio_seconds,
        ),
        transcriber=transcriber,
        verifier=Verifier(store=store, broker=broker, transcriber=transcriber, worker=worker.name),
        assembler=Assembler(store=store, broker=broker, cancellations=cancellations),
        batcher=batcher,
        cancellations=cancellations,
    )
