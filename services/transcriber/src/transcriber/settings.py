"""The settings of a transcriber."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from common.settings import BrokerSettings, ServiceSettings, StorageSettings
from models import default_dir


class Settings(BrokerSettings, StorageSettings, ServiceSettings):
    """Where the models are, what runs them, and how much of a recording is accepted."""

    model_dir: Path = Field(default_factory=default_dir)
    engine: Literal["auto", "ctranslate2", "openai-whisper", "canned"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    models: Annotated[tuple[str, ...], NoDecode] = ()  # empty = every model in MODEL_DIR
    threads: int = Field(default=0, ge=0)  # of the engine; 0 = as many as it thinks best
    max_audio_seconds: float = Field(default=86_400.0, gt=0)
    work_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()))
    drain_seconds: float = Field(default=20.0, ge=0)  # for the work in hand when told to stop, then it is handed back

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
            raise ValueError("the canned engine invents its text and does not run in production")
        return self
