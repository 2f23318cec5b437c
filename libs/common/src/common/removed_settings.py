"""Environment variables of the former system that have no effect any more, and their replacements."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RemovedSetting:
    """A variable without effect; `service` logs a warning at its start when it is set."""

    variable: str
    service: str
    instead: str
    # Values that request the present behaviour: no warning is needed.
    harmless: frozenset[str] = frozenset()


REMOVED_SETTINGS: tuple[RemovedSetting, ...] = (
    RemovedSetting(
        "CELERY_BACKEND_URL",
        "jobs",
        "Nothing needs to be set: states are kept in PostgreSQL (DB_URL), results in the object store (S3_ENDPOINT).",
    ),
    RemovedSetting("CELERY_BROKER_URL", "jobs", "Set BROKER_URL, for every service."),
    RemovedSetting(
        "JOB_QUEUE_BACKEND",
        "jobs",
        "Work always goes through RabbitMQ (BROKER_URL); MAX_CONCURRENT_JOBS limits how many jobs run at once.",
        frozenset({"broker"}),
    ),
    RemovedSetting(
        "LOCAL_STORAGE_DIR",
        "gateway",
        "Files are in the object store (S3_ENDPOINT, S3_BUCKET); on one machine, the stack keeps its own in STATE_DIR.",
    ),
    RemovedSetting(
        "STORAGE_BACKEND",
        "gateway",
        "Files are always in an S3 object store (S3_ENDPOINT, S3_BUCKET); on one machine, the stack brings its own.",
        frozenset({"cloud", "s3"}),
    ),
    RemovedSetting(
        "VITE_API_HOST",
        "gateway",
        "The gateway serves the web page, which asks the address that it came from; VERBATIM_URL points the page's "
        "development server at a gateway.",
    ),
    RemovedSetting(
        "VITE_DEFAULT_TRANSCRIPT_FORMAT",
        "gateway",
        "The page offers every format side by side; a download that names none is txt (?format= names another).",
        frozenset({"txt"}),
    ),
    RemovedSetting(
        "WHISPER_BIN",
        "transcriber",
        "Whisper runs inside the transcriber: ENGINE and DEVICE choose how, MODEL_DIR says where the models are.",
    ),
)


def in_use(service: str, environment: Mapping[str, str]) -> Iterator[RemovedSetting]:
    """The removed variables of a service that are set."""
    for removed in REMOVED_SETTINGS:
        value = environment.get(removed.variable, "").strip()
        if removed.service == service and value and value.lower() not in removed.harmless:
            yield removed


def warn(service: str) -> None:
    """Log the replacement of every removed variable that is set, without its value."""
    for removed in in_use(service, os.environ):
        log.warning("removed setting has no effect", variable=removed.variable, instead=removed.instead)
