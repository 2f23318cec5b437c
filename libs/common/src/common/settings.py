"""The settings of a process: base classes from which a service's `Settings` inherits."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
EXIT_CODE = 2
_URL_PASSWORD = re.compile(r"(?P<before>://[^/@:]*:)[^/@]+(?=@)")
_SECRET_NAME = re.compile(r"password|secret|private", re.IGNORECASE)
MIN_SECRET = 32
MASK = "**********"


class _Part(BaseSettings):
    """The base of all parts; an empty variable counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)


def _instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class ServiceSettings(_Part):
    """Settings of every process: environment, address and logging."""

    environment: Literal["production", "development", "test"] = Field(
        default="production", description="Which kind of installation this is; the canned engine refuses `production`."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port of `GET /metrics`; 0 switches that listener off."
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="Bearer token that `GET /metrics` on METRICS_PORT requires; left out: none.",
    )
    request_head_seconds: float = Field(
        default=20.0, gt=0, description="Seconds in which a request's head must arrive, or its connection is closed."
    )
    answer_stall_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Seconds in which a client must read some of a waiting response, or its connection is closed.",
    )
    instance: str = Field(
        default_factory=_instance, description="Name of this process in logs; left out: host name and process id."
    )
    log_level: str = Field(
        default="INFO", description="Least severe records kept: DEBUG, INFO, WARNING, ERROR, CRITICAL."
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="Form of the records on stdout (`plain` and `text` mean `console`); files are JSON."
    )
    log_to_stdout: bool = Field(default=True, description="Whether records go to stdout.")
    log_dir: Path | None = Field(
        default=None, description="Folder of the rotating file `<service>.log`; left out: none."
    )
    log_max_bytes: int = Field(
        default=10_000_000, ge=0, description="Size in bytes at which the log file is rotated; 0 = never."
    )
    log_backup_count: int = Field(default=5, ge=0, description="Number of rotated log files kept.")
    timezone: str = Field(
        default="UTC",
        description="IANA name of the zone in which `LOG_FORMAT=console` shows times; records, files and API keep UTC.",
    )
    enable_server_control: bool = Field(
        default=False, description="Whether administrators may end or restart this process over the API."
    )

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in LEVELS:
            raise ValueError(f"use one of {', '.join(LEVELS)}")
        return value.upper()

    @field_validator("log_format", mode="before")
    @classmethod
    def _former_names(cls, value: object) -> object:
        return "console" if value in ("plain", "text") else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # also of a folder of the zone database
            raise ValueError("use an IANA time zone name such as Europe/Berlin") from None
        return value


class DatabaseSettings(_Part):
    """The database of a service."""

    db_url: str = Field(
        examples=["postgresql+asyncpg://verbatim:password@127.0.0.1:5432/verbatim"],
        description="The service's PostgreSQL database, as `postgresql+asyncpg://role:password@host:port/database`.",
    )
    db_connect_attempts: int = Field(default=10, ge=1, description="Attempts to connect to the database at the start.")

    @field_validator("db_url")
    @classmethod
    def _for_asyncpg(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        database, _, _driver = scheme.partition("+")
        if not separator or database not in ("postgresql", "postgres"):
            raise ValueError(
                "it must name a PostgreSQL database: postgresql+asyncpg://role:password@host:port/database"
            )
        # Earlier installations name other drivers; only asyncpg is used.
        return f"postgresql+asyncpg://{rest}"


class BrokerSettings(_Part):
    """Address and time limits of the message broker."""

    broker_url: str = Field(
        examples=["amqp://verbatim:password@127.0.0.1:5672/"],
        description="The RabbitMQ server, as `amqp://user:password@host:port/vhost`.",
    )
    broker_declares: bool = Field(
        default=True,
        description="Whether this process declares all exchanges and queues of the platform; with `false`, for a "
        "broker where they exist, it declares only the queues from which it consumes.",
    )
    broker_connect_attempts: int = Field(
        default=20, ge=1, description="Attempts to connect to the broker at the start."
    )
    broker_ping_timeout: float = Field(
        default=10.0, gt=0, description="Seconds after which a broker that does not answer counts as unavailable."
    )
    broker_heartbeat_seconds: int = Field(
        default=10, ge=1, description="Interval of the connection's heartbeats in seconds; two missed ones close it."
    )

    @field_validator("broker_url")
    @classmethod
    def _amqp(cls, value: str) -> str:
        if not value.startswith(("amqp://", "amqps://")):
            raise ValueError("it must name a RabbitMQ server: amqp://user:password@host:port/vhost")
        return value


class StorageSettings(_Part):
    """Address and credentials of the object store."""

    s3_endpoint: str = Field(
        default="http://127.0.0.1:9000", description="Address of the object store, any S3-compatible server."
    )
    aws_access_key_id: str = Field(examples=["verbatim"], description="Access key of the object store.")
    aws_secret_access_key: SecretStr = Field(examples=["a secret"], description="Secret key of the object store.")
    s3_bucket: str = Field(default="verbatim", description="Bucket for recordings and transcripts.")
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")


class InternalSettings(_Part):
    """Authentication of the gateway at internal operations."""

    internal_token: SecretStr = Field(
        examples=["an example that no installation shares"],
        description="Secret that the gateway sends to auth and jobs, the same for all three; at least 32 "
        "characters. Internal operations and X-Forwarded-For are accepted only with it.",
    )

    @field_validator("internal_token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < MIN_SECRET:
            raise ValueError(
                f"must have at least {MIN_SECRET} characters; make one with: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return value


class IdentitySettings(_Part):
    """The issuer of accepted tokens."""

    jwks_url: str = Field(
        examples=["http://127.0.0.1:8001/.well-known/jwks.json"],
        description="URL of auth's public keys for tokens; the gateway derives it from AUTH_URL.",
    )
    token_issuer: str = Field(default="verbatim", description="Required issuer of access tokens.")
    token_audience: str = Field(default="verbatim", description="Required audience of access tokens.")


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load(settings_type: type[SettingsT]) -> SettingsT:
    """Read the settings from the environment; on errors print them to stderr and exit with code 2."""
    return _read(settings_type, {})


def example(settings_type: type[SettingsT]) -> SettingsT:
    """Settings that need no environment: each required field takes the first of its `examples`.

    For building an application only for its OpenAPI document. A required field without an example is read from the
    environment, as with `load`.
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
    sys.stderr.write("\n  ".join(["The settings are not valid:", *sentences]) + "\n")
    raise SystemExit(EXIT_CODE)


def describe(settings: BaseSettings) -> Iterator[str]:
    """The effective settings as `NAME=value` lines, with masked secrets and passwords in URLs."""
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
    """One sentence per variable, without its value: it may be a secret."""
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"]).upper() or "The combination of settings"
        if problem["type"] == "missing":
            yield f"{name} is required and not set."
        else:
            yield f"{name} is not valid: {problem['msg'].removeprefix('Value error, ')}."
