"""Variables of the former system that nothing reads any more, and what takes their place."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retired:
    """A variable without effect; the service whose business it was says so at its start."""

    variable: str
    service: str
    instead: str
    # Values that ask for what happens anyway: nobody needs a warning about them.
    harmless: frozenset[str] = frozenset()


RETIRED: tuple[Retired, ...] = (
    Retired(
        "CELERY_BACKEND_URL",
        "jobs",
        "Nothing needs to be set: states are kept in PostgreSQL (DB_URL), results in the object store (S3_ENDPOINT).",
    ),
    Retired("CELERY_BROKER_URL", "jobs", "Set BROKER_URL, for every service."),
    Retired(
        "JOB_QUEUE_BACKEND",
        "jobs",
        "Work always goes through RabbitMQ (BROKER_URL); MAX_CONCURRENT_JOBS limits how many jobs run at once.",
        frozenset({"broker"}),
    ),
    Retired(
        "LOCAL_STORAGE_DIR",
        "gateway",
        "Files are in the object store (S3_ENDPOINT, S3_BUCKET); on one machine, the stack keeps its own in STATE_DIR.",
    ),
    Retired(
        "STORAGE_BACKEND",
        "gateway",
        "Files are always in an S3 object store (S3_ENDPOINT, S3_BUCKET); on one machine, the stack brings its own.",
        frozenset({"cloud", "s3"}),
    ),
    Retired(
        "VITE_API_HOST",
        "gateway",
        "The gateway serves the web page, which asks the address that it came from; VERBATIM_URL points the page's "
        "development server at a gateway.",
    ),
    Retired(
        "VITE_DEFAULT_TRANSCRIPT_FORMAT",
        "gateway",
        "The page offers every format side by side; a download that names none is txt (?format= names another).",
        frozenset({"txt"}),
    ),
    Retired(
        "WHISPER_BIN",
        "transcriber",
        "Whisper runs inside the transcriber: ENGINE and DEVICE choose how, MODEL_DIR says where the models are.",
    ),
)


def in_use(service: str, environment: Mapping[str, str]) -> Iterator[Retired]:
    """The retired variables that are set and were a given service's business."""
    for retired in RETIRED:
        value = environment.get(retired.variable, "").strip()
        if retired.service == service and value and value.lower() not in retired.harmless:
            yield retired


def warn(service: str) -> None:
    """Say what takes the place of every retired variable in this process's environment; never with its value."""
    for retired in in_use(service, os.environ):
        log.warning("a setting has no effect any more", variable=retired.variable, instead=retired.instead)
