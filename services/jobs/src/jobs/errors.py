"""Errors of the jobs service, as typed problems with stable codes."""

from collections.abc import Mapping, Sequence
from typing import ClassVar
from uuid import UUID

from common.web.errors import Conflict, Forbidden, Gone, Invalid, NotFound, Unauthorized, Unavailable


class JobNotFound(NotFound):
    """The job does not exist, or belongs to another user; the answer is the same for both."""

    code = "job_not_found"
    title = "Job not found"


class AccountGone(Unauthorized):
    """The token is valid, but its account has been deleted."""

    code = "account_gone"
    title = "Account no longer active"


class JobIdTaken(Conflict):
    """The id in the request belongs to a job with another owner or other values."""

    code = "job_id_taken"
    title = "Job id taken"


class ForeignSource(Invalid):
    """The object key in the request is not the key of this job's recording."""

    code = "foreign_source"
    title = "Recording of another job"


class ModelNotAvailable(Invalid):
    """Workers are live, and none of them serves the requested model."""

    code = "model_not_available"
    title = "Model not available"

    def __init__(self, model: str, served: Sequence[str]) -> None:
        super().__init__(
            f"No worker serves the model {model}. Choose one of: {', '.join(served)}.", available=list(served)
        )


class LogNotFound(NotFound):
    """No log has the requested name."""

    code = "log_not_found"
    title = "Log not found"


class JobActive(Conflict):
    """The job has not ended; cancel it before the restart."""

    code = "job_active"
    title = "Job not over"


class JobOver(Conflict):
    """The job has already ended, so it cannot be cancelled."""

    code = "job_over"
    title = "Job over"


class JobNotCompleted(Conflict):
    """The job has no finished transcript to verify."""

    code = "job_not_completed"
    title = "Job not completed"


class VerificationRunning(Conflict):
    """A verification of the job is running; wait until it ends."""

    code = "verification_running"
    title = "Verification still running"


class VerificationNotFound(NotFound):
    """The job has no such verification."""

    code = "verification_not_found"
    title = "Verification not found"


class AttemptNotFound(NotFound):
    """The job has no such attempt."""

    code = "attempt_not_found"
    title = "Attempt not found"


class IdempotencyKeyInFlight(Conflict):
    """The first request with this Idempotency-Key has not ended; retry later."""

    code = "idempotency_key_in_flight"
    title = "Request still running"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class LanguageNotKnown(Invalid):
    """The model does not support the language; choose another model, or omit the language."""

    code = "unsupported_language"
    title = "Language not known to the model"


class JobDeleted(Gone):
    """The Idempotency-Key created jobs that have been deleted; `deleted` and `existing` list their ids."""

    code = "job_deleted"
    title = "Job deleted"

    def __init__(self, deleted: Sequence[UUID], existing: Sequence[UUID]) -> None:
        super().__init__(
            "The first request with this Idempotency-Key created jobs that have been deleted since"
            f" ({len(deleted)} of {len(deleted) + len(existing)}). Use a new key to upload again.",
            deleted=deleted,
            existing=existing,
        )


class TooManyWatchers(Unavailable):
    """The replica has reached its limit of event streams."""

    code = "too_many_watchers"
    title = "Too many event streams"


class DeadLetterNotFound(NotFound):
    """The dead letter does not exist; it may have been discarded."""

    code = "dead_letter_not_found"
    title = "Dead letter not found"


class ReplayImpossible(Conflict):
    """The message cannot be replayed: it is not readable, or its job does not wait for it."""

    code = "replay_impossible"
    title = "Cannot be replayed"


class WorkerNotKnown(Invalid):
    """No known worker has the requested name."""

    code = "worker_not_known"
    title = "No such worker"

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(f"No worker is named {', '.join(unknown)}. GET /admin/workers lists them.", known=list(known))


class ServerControlDisabled(Forbidden):
    """The API can end processes only where ENABLE_SERVER_CONTROL is set."""

    code = "server_control_disabled"
    title = "Server control is switched off"


class BusUnreachable(Unavailable):
    """The service has no connection to the message broker, which carries the request to the other processes."""

    code = "bus_unreachable"
    title = "The message bus cannot be reached"


class IllegalTransition(RuntimeError):
    """The transition is not in the table of states: a defect in this service."""
