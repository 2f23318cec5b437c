"""What can go wrong in the job catalogue, as typed problems with stable codes."""

from collections.abc import Mapping, Sequence
from typing import ClassVar
from uuid import UUID

from common.web.errors import Conflict, Gone, Invalid, NotFound, Unauthorized, Unavailable


class JobNotFound(NotFound):
    """No such job, or it belongs to somebody else: both read the same from outside."""

    code = "job_not_found"
    title = "Job not found"


class AccountGone(Unauthorized):
    """The token is genuine, but its account was deleted since."""

    code = "account_gone"
    title = "Account no longer active"


class JobIdTaken(Conflict):
    """The id in the request belongs to a job with another owner or another body."""

    code = "job_id_taken"
    title = "Job id taken"


class ForeignSource(Invalid):
    """The recording named in the request is not the one that was uploaded for this job."""

    code = "foreign_source"
    title = "Recording of another job"


class ModelNotAvailable(Invalid):
    """Workers are alive, and none of them serves the model that was asked for."""

    code = "model_not_available"
    title = "Model not available"

    def __init__(self, model: str, served: Sequence[str]) -> None:
        """Name the model and those that are served at the moment."""
        super().__init__(f"no worker serves the model {model}; served: {', '.join(served)}", available=list(served))


class LogNotFound(NotFound):
    """No log has this name."""

    code = "log_not_found"
    title = "Log not found"


class JobActive(Conflict):
    """The job is not over; cancel it before you restart it."""

    code = "job_active"
    title = "Job not over"


class JobOver(Conflict):
    """The job has ended by itself, so there is nothing left to cancel."""

    code = "job_over"
    title = "Job over"


class JobNotCompleted(Conflict):
    """The job has no finished transcript to verify."""

    code = "job_not_completed"
    title = "Job not completed"


class VerificationRunning(Conflict):
    """The job is being verified already; wait for the outcome."""

    code = "verification_running"
    title = "Verification still running"


class VerificationNotFound(NotFound):
    """The job has no such verification."""

    code = "verification_not_found"
    title = "Verification not found"


class AttemptNotFound(NotFound):
    """The job has not had this attempt."""

    code = "attempt_not_found"
    title = "Attempt not found"


class IdempotencyKeyInFlight(Conflict):
    """The first request with this Idempotency-Key has not ended yet; repeat it in a moment."""

    code = "idempotency_key_in_flight"
    title = "Request still running"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class LanguageNotKnown(Invalid):
    """The model does not know the language; choose another model, or leave the language out."""

    code = "unsupported_language"
    title = "Language not known to the model"


class JobDeleted(Gone):
    """The Idempotency-Key created jobs that were deleted since: `deleted` and `existing` name them."""

    code = "job_deleted"
    title = "Job deleted"

    def __init__(self, deleted: Sequence[UUID], existing: Sequence[UUID]) -> None:
        super().__init__(
            "The first request with this Idempotency-Key created jobs that have been deleted since"
            f" ({len(deleted)} of {len(deleted) + len(existing)}); use a new key to upload again.",
            deleted=deleted,
            existing=existing,
        )


class TooManyWatchers(Unavailable):
    """This replica streams events to as many clients as it may."""

    code = "too_many_watchers"
    title = "Too many event streams"


class IllegalTransition(RuntimeError):
    """The state machine was asked for a step that its table does not have: an error in this service."""
