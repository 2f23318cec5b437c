"""Engines: one protocol, one file each. Heavy libraries are imported only when their engine is created."""

import ctypes
import importlib.util
from pathlib import Path
from typing import Literal

from models import MODELS, Format, is_present, present

from .base import Engine, EngineError, ModelUnavailable

EngineName = Literal["auto", "ctranslate2", "openai-whisper", "canned"]
DeviceName = Literal["auto", "cpu", "cuda"]
EncoderName = Literal["auto", "openvino-bfloat16", "openvino-float32", "ctranslate2"]
ComputeType = Literal["auto", "int8", "float32"]

_FORMS = {"ctranslate2": Format.CT2, "openai-whisper": Format.PT}
_PACKAGES = {"ctranslate2": "ctranslate2", "openai-whisper": "whisper"}
_EXTRAS = {"ctranslate2": "ctranslate2", "openai-whisper": "torch"}


class NotForProduction(EngineError):
    """The canned engine was configured in production."""


def choose(engine: EngineName, device: DeviceName, environment: str) -> str:
    """Return the engine that `auto` means on this machine, or the configured one if it can run.

    `auto` is openai-whisper where torch finds a GPU, else ctranslate2; openai-whisper also where nothing else is
    installed. Raises EngineError if no engine, or not the configured one, is installed, and NotForProduction.
    """
    if engine == "canned":
        if environment == "production":
            raise NotForProduction("ENGINE=canned invents its texts and refuses to run with ENVIRONMENT=production.")
        return engine
    installed = [name for name, package in _PACKAGES.items() if importlib.util.find_spec(package)]
    if engine == "auto":
        if not installed:
            raise EngineError("No engine is installed: install the transcriber's extra 'ctranslate2' or 'torch'.")
        if "openai-whisper" in installed and device != "cpu" and _torch_sees_gpu():
            return "openai-whisper"
        return installed[0]
    if engine not in installed:
        raise EngineError(f"ENGINE={engine} is not installed: install the transcriber's extra '{_EXTRAS[engine]}'.")
    return engine


def served(engine: str, model_dir: Path) -> list[str]:
    """Return the models in MODEL_DIR for this engine (one that `choose` returned)."""
    return list(MODELS) if engine == "canned" else present(model_dir, _FORMS[engine])


def create(
    engine: str,
    model: str,
    model_dir: Path,
    *,
    device: DeviceName,
    threads: int,
    encoder: EncoderName = "auto",
    compute_type: ComputeType = "auto",
) -> Engine:
    """Load one model into an engine (one that `choose` returned), which takes seconds.

    `threads` 0 leaves the number to the engine; `encoder` and `compute_type` apply to ctranslate2 on a CPU. Raises
    ModelUnavailable if MODEL_DIR does not have the model in the engine's format, EngineError if the encoder cannot run
    on this machine.
    """
    if engine == "canned":
        from .canned import CannedEngine  # noqa: PLC0415 (engines are imported when they are created)

        return CannedEngine(model)
    if not is_present(model_dir, model, _FORMS[engine]):
        raise ModelUnavailable(
            f"{model_dir} does not have {model} in the format of {engine}; it has: "
            f"{', '.join(served(engine, model_dir)) or 'none'}. Install it with: python -m models get {model}"
        )
    if engine == "openai-whisper":
        from . import openai_whisper  # noqa: PLC0415 (imports torch)

        place = openai_whisper.default_device() if device == "auto" else device
        return openai_whisper.OpenAIWhisperEngine.open(model, model_dir, device=place, threads=threads or 1)
    from . import ctranslate2  # noqa: PLC0415 (imports CTranslate2)

    place = ctranslate2.default_device() if device == "auto" else device
    return ctranslate2.CTranslate2Engine(
        model, model_dir, device=place, threads=threads, encoder=encoder, compute_type=compute_type
    )


def _torch_sees_gpu() -> bool:
    try:
        # Without a driver the import of torch, which takes seconds, is not needed.
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    from . import openai_whisper  # noqa: PLC0415 (imports torch)

    return openai_whisper.default_device() == "cuda"
