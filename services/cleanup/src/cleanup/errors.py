"""Errors of the cleanup service, with stable codes."""

from common.web.errors import Conflict, Invalid, NotFound, Unavailable


class FileInUse(Conflict):
    """A live job refers to the file, or no event about its job has arrived yet."""

    code = "in_use"
    title = "File in use"


class FileNotFound(NotFound):
    """There is no file of a job with this key."""

    code = "file_not_found"
    title = "File not found"


class ReportNotFound(NotFound):
    """There is no report with this id; old reports are deleted."""

    code = "report_not_found"
    title = "Report not found"


class NotConfirmed(Invalid):
    """The confirmation is not the required phrase."""

    code = "confirmation_required"
    title = "Not confirmed"


class StoreDown(Unavailable):
    """The object store cannot be reached."""

    code = "object_store_unavailable"
    title = "The object store is not available"
