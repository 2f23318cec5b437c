"""Problems of resumable uploads, with the status codes of tus."""

from collections.abc import Mapping
from typing import ClassVar

from common.web.errors import BadRequest, Conflict, NotFound, Problem


class UploadNotFound(NotFound):
    """There is no upload with this id, or it belongs to another user."""

    code, title = "upload_not_found", "No such upload"


class UploadGone(Problem):
    """The upload has expired."""

    status, code, title = 410, "upload_gone", "Upload gone"


class OffsetMismatch(Conflict):
    """Upload-Offset is not the number of stored bytes, which is `offset`."""

    code, title = "offset_mismatch", "Wrong offset"


class UploadBusy(Problem):
    """Another request is writing to the upload."""

    status, code, title = 423, "upload_busy", "Upload busy"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class ChecksumMismatch(Problem):
    """The bytes do not match the checksum and were discarded."""

    status, code, title = 460, "checksum_mismatch", "Checksum mismatch"


class NotUploadBytes(Problem):
    """The content type of the body is not that of tus."""

    status, code, title = 415, "not_upload_bytes", "Not a piece of an upload"


class VersionNotSupported(Problem):
    """Tus-Resumable is missing or has another version."""

    status, code, title = 412, "tus_version_not_supported", "Protocol version not supported"
    default_headers: ClassVar[Mapping[str, str]] = {"Tus-Version": "1.0.0"}


class BadUploadHeader(BadRequest):
    """A tus header is not valid."""

    code, title = "bad_upload_header", "Unreadable upload header"


class ExtensionNotSupported(Problem):
    """The request uses a tus extension that is not in Tus-Extension."""

    status, code, title = 501, "tus_extension_not_supported", "Protocol extension not supported"
