"""A worker's life: prove that the engine hears, then take work until told to stop."""

from collections.abc import Sequence

import structlog
from pydantic import ValidationError

import models
from common.events import EngineTuning, JobOptions
from common.messaging import Broker

from .assembler import Assembler
from .audio import Decoders
from .batching import BATCH, Batcher
from .cancellations import Cancellations
from .consumers import Consumers, Resources
from .errors import ModelNotServed
from .gpu import Gpu
from .planner import Planner
from .process import EngineProcess, EngineSettings
from .recent import RecentStore
from .selftest import selftest
from .settings import Settings
from .transcription import Transcriber
from .vad import model_path
from .verification import Verifier
from .worker import Worker

log = structlog.get_logger(__name__)


class TranscriberService:
    """One worker; `run` is a background loop that is started again when it fails, `stop` ends it in order."""

    def __init__(self, settings: Settings, store: RecentStore, broker: Broker) -> None:
        self._settings = settings
        self._store = store
        self._broker = broker
        self._engine = EngineProcess(
            EngineSettings(
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
        )
        self._decoders = Decoders()
        self._cancellations = Cancellations()
        self._consumers: Consumers | None = None
        self._proven = self._on_gpu = False

    async def run(self) -> None:
        """Open, then send heartbeats until cancelled."""
        worker = await self._prove()
        if self._consumers is None:
            consumers = Consumers(self._broker, self._resources(worker))
            try:
                await consumers.start()
            except BaseException:
                await consumers.stop(0.0)
                raise
            self._consumers = consumers
            log.info("taking work", models=worker.models)
        await worker.beat(self._broker)

    async def stop(self) -> None:
        """Take no more work, finish or hand back what is in hand, end the child processes."""
        if self._consumers is not None:
            await self._consumers.stop(self._settings.drain_seconds)
        self._decoders.close()
        await self._engine.close()

    async def device_failure(self) -> None:
        """Return when the GPU is in a state that only a new process can leave; its work goes back by itself."""
        await self._engine.device_failed.wait()

    async def check_engine(self) -> None:
        """Raise until the engine has understood the known sentence."""
        if not self._proven:
            raise ModelNotServed("the engine has not passed its self-test yet")

    async def check_consumers(self) -> None:
        """Raise unless work can reach us."""
        if self._consumers is None:
            raise ConnectionError("no work is taken yet")
        await self._consumers.check()

    async def _prove(self) -> Worker:
        """Start the engine and have it pass the self-test with the model that is asked for most."""
        for line in models.check(self._settings.model_dir).lines():
            log.info("models", found=line)
        name, present = await self._engine.models()
        served = chosen(present, self._settings.models)
        model_path()  # raises unless the voice detector is there
        await selftest(self._engine, served[0])
        info = await self._engine.info(served[0])
        threads, batch_windows = await self._engine.tuning(served[0])
        self._proven = True
        self._on_gpu = info.device.startswith("cuda")
        tuning = EngineTuning(
            version=info.version, compute_type=info.compute_type, threads=threads, batch_windows=batch_windows
        )
        log.info("engine tuned", model=served[0], **tuning.model_dump())
        gpu = Gpu(self._settings.gpu_device) if self._on_gpu else None
        return Worker(
            name=self._settings.instance, engine=name, device=info.device, models=served, tuning=tuning, gpu=gpu
        )

    def _resources(self, worker: Worker) -> Resources:
        wanted = self._settings.batch_across_jobs
        # On a GPU, CTranslate2's results may depend on what shares a batch; those of our torch engine do not.
        independent = not self._on_gpu or worker.engine == "openai-whisper"
        sharing = wanted == "on" or (wanted == "auto" and independent)
        room = max(BATCH, worker.batch_windows) if self._on_gpu else BATCH
        batcher = Batcher(self._engine, sharing=sharing, on_gpu=self._on_gpu, room=room)
        transcriber = Transcriber(
            store=self._store,
            broker=self._broker,
            engine=self._engine,
            batcher=batcher,
            cancellations=self._cancellations,
            worker=worker.name,
        )
        return Resources(
            worker=worker,
            planner=Planner(
                store=self._store,
                broker=self._broker,
                decoders=self._decoders,
                engine=self._engine,
                models=worker.models,
                cancellations=self._cancellations,
                work_dir=self._settings.work_dir,
                max_seconds=self._settings.max_audio_seconds,
            ),
            transcriber=transcriber,
            verifier=Verifier(store=self._store, broker=self._broker, transcriber=transcriber, worker=worker.name),
            assembler=Assembler(store=self._store, broker=self._broker, cancellations=self._cancellations),
            batcher=batcher,
            cancellations=self._cancellations,
        )


def _can_be_asked_for(model: str) -> bool:
    try:
        JobOptions(model=model)
    except ValidationError:
        log.warning("a model's name cannot be asked for in a job", model=model)
        return False
    return True


def chosen(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The models to serve: those wanted of the ones present, all when none is named; the default model comes first.

    Raises ModelNotServed when nothing is left.
    """
    missing = [name for name in wanted if name not in present]
    if missing:
        log.error("models are not in MODEL_DIR", missing=missing, present=list(present))
    served = [name for name in present if (not wanted or name in wanted) and _can_be_asked_for(name)]
    if not served:
        raise ModelNotServed(f"none of the models {list(wanted) or 'asked for'} is in MODEL_DIR")
    default = JobOptions().model
    return sorted(served, key=lambda name: (name != default, served.index(name)))
