"""Prepare the engine before work is consumed: list the models, run the self-test, describe the worker."""

from collections.abc import Sequence

import structlog
from pydantic import ValidationError

import models
from common.events import EngineTuning, JobOptions

from .engines.gpu import Gpu
from .engines.process import EngineProcess
from .engines.selftest import selftest
from .errors import ModelNotServed
from .settings import Settings
from .speech.detector import model_path
from .work.worker import Worker

log = structlog.get_logger(__name__)


class TranscriberService:
    """Prepares the engine once, and reports for readiness whether that has succeeded."""

    def __init__(self, settings: Settings, engine: EngineProcess) -> None:
        self._settings = settings
        self._engine = engine
        self._worker: Worker | None = None

    async def prepare(self) -> Worker:
        """Start the engine, run the self-test with the model that jobs use by default, and describe the worker.

        Further calls return the same worker.
        """
        if self._worker is None:
            self._worker = await self._tested_worker()
        return self._worker

    async def check_engine(self) -> None:
        """Raise ModelNotServed until the engine has passed the self-test."""
        if self._worker is None:
            raise ModelNotServed("the engine has not passed its self-test yet")

    async def _tested_worker(self) -> Worker:
        for line in models.check(self._settings.model_dir).lines():
            log.info("models", found=line)
        name, present = await self._engine.models()
        served = served_models(present, self._settings.models)
        model_path()  # raises unless the voice detector is installed
        await selftest(self._engine, served[0])
        info = await self._engine.info(served[0])
        threads, batch_windows = await self._engine.tuning(served[0])
        tuning = EngineTuning(
            version=info.version, compute_type=info.compute_type, threads=threads, batch_windows=batch_windows
        )
        log.info("engine tuned", model=served[0], **tuning.model_dump())
        gpu = Gpu(self._settings.gpu_device) if info.device.startswith("cuda") else None
        return Worker(
            name=self._settings.instance, engine=name, device=info.device, models=served, tuning=tuning, gpu=gpu
        )


def served_models(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """List the models to serve: those of `present` that are in `wanted`, all if that is empty; the default one first.

    Raises ModelNotServed when there is none.
    """
    missing = [name for name in wanted if name not in present]
    if missing:
        log.error("models are not in MODEL_DIR", missing=missing, present=list(present))
    served = [name for name in present if (not wanted or name in wanted) and _is_valid_name(name)]
    if not served:
        raise ModelNotServed(
            f"MODEL_DIR holds none of the models of MODELS ({', '.join(wanted) or 'all'}); "
            "install one with: python -m models get base"
        )
    default = JobOptions().model
    return sorted(served, key=lambda name: (name != default, served.index(name)))


def _is_valid_name(model: str) -> bool:
    try:
        JobOptions(model=model)
    except ValidationError:
        log.warning("model ignored, its name is not valid in a job", model=model)
        return False
    return True
