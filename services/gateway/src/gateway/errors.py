"""Problems that the gateway answers, with stable codes."""

from collections.abc import Mapping
from typing import ClassVar

from common.web.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Problem,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UpstreamFailed,
)


class BadUpload(BadRequest):
    """The body of an upload is not a valid form, or is incomplete."""

    code = "bad_upload"
    title = "Unreadable upload"


class InvalidForm(Invalid):
    """The form has invalid or missing fields."""

    code = "invalid_form"
    title = "Not a valid form"


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key was used for an upload with other contents."""

    code = "idempotency_key_reused"
    title = "Idempotency key of another request"


class JobDeleted(Gone):
    """The first upload with this Idempotency-Key created jobs, some of which were deleted: `deleted`, `existing`."""

    code = "job_deleted"
    title = "Job deleted"


class IdempotencyKeyInFlight(Conflict):
    """The first upload with this Idempotency-Key is still running; retry later."""

    code = "idempotency_key_in_flight"
    title = "Upload still running"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class ChunkAudioGone(Conflict):
    """The audio of the job's chunks was deleted, so they cannot be decoded again; restart the job instead."""

    code = "chunk_audio_gone"
    title = "Chunk audio gone"


class UploadTooLarge(TooLarge):
    """The recording is larger than MAX_UPLOAD_SIZE."""

    code = "upload_too_large"
    title = "Recording too large"


class BodyTooLarge(TooLarge):
    """The body of a request other than an upload is too large."""

    code = "body_too_large"
    title = "Request too large"


class BodyTooSlow(Problem):
    """The body of a request other than an upload did not arrive in time."""

    status, code, title = 408, "body_too_slow", "Request too slow"
    default_headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class ServiceUnavailable(Unavailable):
    """A service cannot be reached or did not answer in time."""

    code = "service_unavailable"
    title = "A service is not available"

    def __init__(self, detail: str, *, upstream: str, sent: bool) -> None:
        """`sent` is true if the service may have received the request."""
        super().__init__(detail, upstream=upstream)
        self.sent = sent


class BadUpstreamAnswer(UpstreamFailed):
    """The answer of a service does not match its interface."""

    code = "upstream_failed"


class StoreDown(Unavailable):
    """The object store cannot be reached."""

    code = "object_store_unavailable"
    title = "The object store is not available"


class TranscriptNotReady(Conflict):
    """The job has no transcript yet."""

    code = "transcript_not_ready"
    title = "Transcript not ready"


class ProvenanceUnknown(NotFound):
    """No provenance is stored: the transcript is from an earlier version."""

    code = "provenance_unknown"
    title = "Provenance unknown"


class FormatNotAvailable(NotFound):
    """The transcript is not stored in this format."""

    code = "format_not_available"
    title = "Format not available"


class FileNotFound(NotFound):
    """There is no file of this name, or it was deleted."""

    code = "file_not_found"
    title = "File not found"


class ForeignOrigin(Forbidden):
    """The WebSocket comes from a web page of an origin that is not allowed."""

    code = "foreign_origin"
    title = "Origin not allowed"


class InvalidApiKey(Unauthorized):
    """The API key is unknown, revoked or expired, or its owner's account is disabled."""

    code = "invalid_api_key"
    title = "API key not valid"


class TooManyLogins(TooManyRequests):
    """This address sent too many login requests."""

    code = "too_many_requests"
    title = "Too many requests"


class RateLimited(TooManyRequests):
    """This user, or this address without a valid token, sent too many requests; retry after `Retry-After`."""

    code = "rate_limited"
    title = "Too many requests"


class TooManyStreams(TooManyRequests):
    """This user has reached the limit of open event streams and log sockets at this replica."""

    code = "too_many_streams"
    title = "Too many open streams"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class TooManyUploads(TooManyRequests):
    """This user has reached the limit of simultaneous uploads to this replica."""

    code = "too_many_uploads"
    title = "Too many uploads at once"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class TooManyViewers(Unavailable):
    """This replica has reached its limit of log viewers."""

    code = "too_many_viewers"
    title = "Too many log viewers"
