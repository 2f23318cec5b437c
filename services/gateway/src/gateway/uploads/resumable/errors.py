"""What can go wrong with a resumable upload; the status codes are those that tus asks for."""

from collections.abc import Mapping
from typing import ClassVar

from common.web.errors import BadRequest, Conflict, NotFound, Problem


class UploadNotFound(NotFound):
    """There is no such upload, or it is somebody else's."""

    code, title = "upload_not_found", "No such upload"


class UploadGone(Problem):
    """The upload was given up: it was not finished in time."""

    status, code, title = 410, "upload_gone", "Upload gone"


class OffsetMismatch(Conflict):
    """The bytes sent do not follow on those that are stored; `offset` says how many these are."""

    code, title = "offset_mismatch", "Wrong offset"


class UploadBusy(Problem):
    """Another request is writing to the upload at the moment."""

    status, code, title = 423, "upload_busy", "Upload busy"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class ChecksumMismatch(Problem):
    """The bytes are not those that the checksum was made of; they are dropped."""

    status, code, title = 460, "checksum_mismatch", "Checksum mismatch"


class NotUploadBytes(Problem):
    """The body is not declared as a piece of an upload."""

    status, code, title = 415, "not_upload_bytes", "Not a piece of an upload"


class VersionNotSupported(Problem):
    """The client speaks another version of the protocol, or does not say which."""

    status, code, title = 412, "tus_version_not_supported", "Protocol version not supported"
    default_headers: ClassVar[Mapping[str, str]] = {"Tus-Version": "1.0.0"}


class BadUploadHeader(BadRequest):
    """A header of the protocol is not what it must be."""

    code, title = "bad_upload_header", "Unreadable upload header"


class ExtensionNotSupported(Problem):
    """The request uses an extension of the protocol that is not in Tus-Extension."""

    status, code, title = 501, "tus_extension_not_supported", "Protocol extension not supported"
