"""The settings of a transcriber."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from common.settings import BrokerSettings, ServiceSettings, StorageSettings
from models import default_dir


class Settings(BrokerSettings, StorageSettings, ServiceSettings):
    """Models, engine, device, limits of a recording."""

    model_dir: Path = Field(
        default_factory=default_dir, description="Folder of the Whisper models; left out: `models/weights`."
    )
    engine: Literal["auto", "ctranslate2", "openai-whisper", "canned"] = Field(
        default="auto",
        description="Library that runs the models; `auto` is the fastest for the device, `canned` is for tests.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Device of the models; `auto` uses a GPU if there is one."
    )
    gpu_device: str = Field(
        default="",
        description="The GPU of this process, by its number or UUID; empty = the first visible one.",
    )
    encoder: Literal["auto", "openvino-bfloat16", "openvino-float32", "ctranslate2"] = Field(
        default="auto",
        description=(
            "Library and precision of the encoder of ENGINE=ctranslate2 on a CPU; `auto` is OpenVINO in the "
            "processor's fastest precision. On machines of different kinds, `openvino-float32` makes their texts more "
            "similar."
        ),
    )
    compute_type: Literal["auto", "int8", "float32"] = Field(
        default="auto",
        description=(
            "Precision of the decoder of ENGINE=ctranslate2 on a CPU: `float32` makes fewer errors, `int8` takes less "
            "time and a quarter of the memory; `auto` is float32 for models up to base."
        ),
    )
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Models to serve, separated by commas; empty = every model in MODEL_DIR."
    )
    threads: int = Field(default=0, ge=0, description="Threads of the engine; 0 = the fastest number.")
    model_idle_seconds: float = Field(
        default=600.0,
        ge=0,
        description="Seconds without a request after which a model is unloaded; 0 = never.",
    )
    batch_across_jobs: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Decode short chunks of several jobs together, which is faster; `auto` does so if results do not "
        "depend on it: on CPUs, and with ENGINE=openai-whisper on GPUs.",
    )
    max_audio_seconds: float = Field(default=86_400.0, gt=0, description="Longest recording accepted, in seconds.")
    work_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()),
        description="Folder for temporary files; left out: the system's.",
    )
    drain_seconds: float = Field(
        default=20.0, ge=0, description="Seconds to finish running work after a stop signal; then the work is requeued."
    )

    @field_validator("models", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("work_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.absolute()

    @model_validator(mode="after")
    def _no_canned_speech_in_production(self) -> "Settings":
        if self.engine == "canned" and self.environment == "production":
            raise ValueError("ENGINE=canned invents its texts and does not run with ENVIRONMENT=production")
        return self
