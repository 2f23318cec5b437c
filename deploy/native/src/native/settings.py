"""The settings of the native stack; all other environment variables are passed to the services."""

import os
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parents[4]


class NativeSettings(BaseSettings):
    """Settings of the stack itself."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    state_dir: Path = Field(default=CHECKOUT / ".verbatim", description="Data, credentials and logs of this fleet.")
    transcribers: int = Field(default=0, ge=0, description="Worker processes; 0 = one per GPU, else one per core.")
    gateway_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        # PORT is what the former system's public port was called.
        validation_alias=AliasChoices("gateway_port", "port"),
        description="The public port; 0 = chosen once and kept.",
    )
    model_dir: Path = Field(default=CHECKOUT / "models/weights", description="Folder of the Whisper models.")
    web_dir: Path = Field(default=CHECKOUT / "web/dist", description="The built web page; served when it exists.")
    admin_username: str = Field(default="admin", description="First admin's name.")
    admin_password: str | None = Field(default=None, description="First admin's password; generated when left out.")
    sample: Path | None = Field(default=None, description="The recording that the demo sends when it is given none.")
    keep: bool = Field(default=False, description="Leave the fleet that the demo started running.")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> int:
    """Number of NVIDIA GPUs that the kernel driver lists."""
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0
