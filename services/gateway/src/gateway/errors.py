"""What can go wrong at the public door, with stable codes."""

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
    """The body of an upload is not a readable form, or stopped in the middle."""

    code = "bad_upload"
    title = "Unreadable upload"


class InvalidForm(Invalid):
    """The form is readable and says something impossible."""

    code = "invalid_form"
    title = "Not a valid form"


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key belongs to an upload with other contents."""

    code = "idempotency_key_reused"
    title = "Idempotency key of another request"


class JobDeleted(Gone):
    """The first upload with this Idempotency-Key created jobs that were deleted since: `deleted`, `existing`."""

    code = "job_deleted"
    title = "Job deleted"


class IdempotencyKeyInFlight(Conflict):
    """The first upload with this Idempotency-Key has not ended yet; repeat it in a moment."""

    code = "idempotency_key_in_flight"
    title = "Upload still running"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class ChunkAudioGone(Conflict):
    """The audio of the job's chunks is no longer stored, so nothing can be decoded again; restart the job instead."""

    code = "chunk_audio_gone"
    title = "Chunk audio gone"


class UploadTooLarge(TooLarge):
    """The recording is larger than MAX_UPLOAD_SIZE."""

    code = "upload_too_large"
    title = "Recording too large"


class BodyTooLarge(TooLarge):
    """A request other than an upload carries more than any of them needs."""

    code = "body_too_large"
    title = "Request too large"


class BodyTooSlow(Problem):
    """A request other than an upload takes too long to arrive."""

    status, code, title = 408, "body_too_slow", "Request too slow"
    default_headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class ServiceUnavailable(Unavailable):
    """A service behind the gateway cannot be reached or does not answer in time."""

    code = "service_unavailable"
    title = "A service is not available"

    def __init__(self, detail: str, *, upstream: str, sent: bool) -> None:
        """`sent` tells whether the service may have received the request and acted on it."""
        super().__init__(detail, upstream=upstream)
        self.sent = sent


class BadUpstreamAnswer(UpstreamFailed):
    """A service behind the gateway answered something that is not its interface."""

    code = "upstream_failed"


class StoreDown(Unavailable):
    """The object store cannot be reached."""

    code = "object_store_unavailable"
    title = "The object store is not available"


class TranscriptNotReady(Conflict):
    """The job has no finished transcript (yet)."""

    code = "transcript_not_ready"
    title = "Transcript not ready"


class ProvenanceUnknown(NotFound):
    """The transcript was made before its provenance was recorded."""

    code = "provenance_unknown"
    title = "Provenance unknown"


class FormatNotAvailable(NotFound):
    """The transcript exists, this format of it does not."""

    code = "format_not_available"
    title = "Format not available"


class FileNotFound(NotFound):
    """There is no file of this name, or it is gone."""

    code = "file_not_found"
    title = "File not found"


class ForeignOrigin(Forbidden):
    """A web page of another origin tried to open a WebSocket."""

    code = "foreign_origin"
    title = "Origin not allowed"


class InvalidApiKey(Unauthorized):
    """The API key is unknown, revoked or expired, or its owner's account is disabled."""

    code = "invalid_api_key"
    title = "API key not valid"


class TooManyLogins(TooManyRequests):
    """This address asks for tokens too often."""

    code = "too_many_requests"
    title = "Too many requests"


class RateLimited(TooManyRequests):
    """This user, or this address where nobody is signed in, asks too often; `Retry-After` says when to come back."""

    code = "rate_limited"
    title = "Too many requests"


class TooManyStreams(TooManyRequests):
    """This user has as many event streams and log sockets open at this replica as one user may."""

    code = "too_many_streams"
    title = "Too many open streams"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class TooManyUploads(TooManyRequests):
    """This user sends as many recordings at once to this replica as one user may."""

    code = "too_many_uploads"
    title = "Too many uploads at once"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class TooManyViewers(Unavailable):
    """This replica streams logs to as many viewers as it may."""

    code = "too_many_viewers"
    title = "Too many log viewers"
