"""What can go wrong in file administration, with stable codes."""

from common.web.errors import Conflict, Invalid, NotFound, Unavailable


class FileInUse(Conflict):
    """A live job refers to the file, or cleanup does not know (yet) whether one does."""

    code = "in_use"
    title = "File in use"


class FileNotFound(NotFound):
    """There is no such file among those of jobs."""

    code = "file_not_found"
    title = "File not found"


class ReportNotFound(NotFound):
    """There is no such report; old ones are forgotten."""

    code = "report_not_found"
    title = "Report not found"


class NotConfirmed(Invalid):
    """The confirmation is not the phrase that this needs."""

    code = "confirmation_required"
    title = "Not confirmed"


class StoreDown(Unavailable):
    """The object store cannot be reached."""

    code = "object_store_unavailable"
    title = "The object store is not available"
