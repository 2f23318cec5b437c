"""The settings of a process: parts that a service's own `Settings` is put together from."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
EXIT_CODE = 2
_URL_PASSWORD = re.compile(r"(?P<before>://[^/@:]*:)[^/@]+(?=@)")
_SECRET_NAME = re.compile(r"password|secret|private", re.IGNORECASE)
MASK = "**********"


class _Part(BaseSettings):
    """What all parts have in common: plain variable names, an empty variable counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)


def _instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class ServiceSettings(_Part):
    """What every process has: where it runs, where it listens and how it logs."""

    environment: Literal["production", "development", "test"] = "production"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    metrics_port: int = Field(default=0, ge=0, le=65535)  # 0 = no metrics server
    instance: str = Field(default_factory=_instance)
    log_level: str = "INFO"
    log_format: Literal["json", "console"] = "json"
    log_to_stdout: bool = True
    log_dir: Path | None = None
    log_max_bytes: int = Field(default=10_000_000, ge=0)
    log_backup_count: int = Field(default=5, ge=0)

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in LEVELS:
            raise ValueError(f"use one of {', '.join(LEVELS)}")
        return value.upper()


class DatabaseSettings(_Part):
    """Where a service's own schema lives."""

    db_url: str = Field(examples=["postgresql+asyncpg://verbatim:password@127.0.0.1:5432/verbatim"])
    db_connect_attempts: int = Field(default=10, ge=1)


class BrokerSettings(_Part):
    """Where the message broker is and how patient to be with it."""

    broker_url: str = Field(examples=["amqp://verbatim:password@127.0.0.1:5672/"])
    broker_connect_attempts: int = Field(default=20, ge=1)
    broker_ping_timeout: float = Field(default=10.0, gt=0)  # seconds


class StorageSettings(_Part):
    """Where the object store is and how to sign in."""

    s3_endpoint: str = "http://127.0.0.1:9000"
    aws_access_key_id: str = Field(examples=["verbatim"])
    aws_secret_access_key: SecretStr = Field(examples=["a secret"])
    s3_bucket: str = "verbatim"
    s3_region: str = "us-east-1"


class IdentitySettings(_Part):
    """Whose tokens are believed."""

    jwks_url: str = Field(examples=["http://127.0.0.1:8001/.well-known/jwks.json"])
    token_issuer: str = "verbatim"  # noqa: S105 - a name, not a password
    token_audience: str = "verbatim"  # noqa: S105 - a name, not a password


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load(settings_type: type[SettingsT]) -> SettingsT:
    """Read the settings from the environment, or say what is wrong with it on stderr and exit with code 2."""
    return _read(settings_type, {})


def example(settings_type: type[SettingsT]) -> SettingsT:
    """Settings that need no environment: each required field takes the first of its `examples`.

    They serve to build an application that is described and not run. A required field without
    an example must come from the environment, as with `load`.
    """
    values: dict[str, Any] = {
        name: field.examples[0]
        for name, field in settings_type.model_fields.items()
        if field.is_required() and field.examples and not os.environ.get(name.upper())
    }
    return _read(settings_type, values)


def _read(settings_type: type[SettingsT], values: dict[str, Any]) -> SettingsT:
    try:
        return settings_type(**values)
    except ValidationError as error:
        sentences = list(_sentences(error))
    except SettingsError as error:  # a variable that should hold JSON does not
        sentences = [f"{str(error).capitalize()}."]
    sys.stderr.write("\n  ".join(["The settings are not usable:", *sentences]) + "\n")
    raise SystemExit(EXIT_CODE)


def describe(settings: BaseSettings) -> Iterator[str]:
    """The effective settings as `NAME=value` lines, secrets and passwords inside URLs masked."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None:
            shown = ""
        elif isinstance(value, SecretStr) or _SECRET_NAME.search(name):
            shown = MASK
        else:
            shown = _URL_PASSWORD.sub(rf"\g<before>{MASK}", str(value))
        yield f"{name.upper()}={shown}"


def _sentences(error: ValidationError) -> Iterator[str]:
    """One sentence per variable, never with the value: it may be a secret."""
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"]).upper() or "The combination of settings"
        if problem["type"] == "missing":
            yield f"{name} is required and not set."
        else:
            yield f"{name} is not valid: {problem['msg'].removeprefix('Value error, ')}."
