"""The decisions: what a person may do with jobs, what becomes of them, and which work goes out for them."""

from .catalogue import JobCatalogue
from .lifecycle import JobLifecycle
from .work import WorkSender, of_job

__all__ = ["JobCatalogue", "JobLifecycle", "WorkSender", "of_job"]
