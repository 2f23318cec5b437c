"""The decisions: what a person may do with jobs, what becomes of them, and which work goes out for them."""

from .catalogue import JobCatalogue
from .control import JobControl
from .creation import KEPT, JobCreation
from .history import History
from .lifecycle import JobLifecycle
from .owners import TOMBSTONE_KEPT
from .quotas import DAYS_KEPT, Quotas
from .verifying import Verifying
from .work import WorkSender, of_job

__all__ = [
    "DAYS_KEPT",
    "KEPT",
    "TOMBSTONE_KEPT",
    "History",
    "JobCatalogue",
    "JobControl",
    "JobCreation",
    "JobLifecycle",
    "Quotas",
    "Verifying",
    "WorkSender",
    "of_job",
]
