"""The decisions: what a person may do with jobs, what becomes of them, and which work goes out for them."""

from .catalogue import JobCatalogue
from .control import JobControl
from .creation import KEPT, JobCreation
from .history import History
from .lifecycle import JobLifecycle
from .work import WorkSender, of_job

__all__ = ["KEPT", "History", "JobCatalogue", "JobControl", "JobCreation", "JobLifecycle", "WorkSender", "of_job"]
