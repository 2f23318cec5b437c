"""Decisions: what users may do with jobs, the state machine, and the work that is sent to the transcribers."""

from .catalogue import JobCatalogue
from .concurrency import ConcurrencyLimits
from .control import JobControl
from .creation import KEYS_KEPT, JobCreation
from .dead_letters import DeadLetterCatalogue
from .figures import Figures
from .history import History
from .lifecycle import JobLifecycle
from .owners import TOMBSTONES_KEPT
from .quotas import DAYS_KEPT, Quotas
from .reset import Reset
from .resources import Cancellations, Resources
from .verification import Verifications
from .watching import Watchers
from .work import WorkSender, of_job

__all__ = [
    "DAYS_KEPT",
    "KEYS_KEPT",
    "TOMBSTONES_KEPT",
    "Cancellations",
    "ConcurrencyLimits",
    "DeadLetterCatalogue",
    "Figures",
    "History",
    "JobCatalogue",
    "JobControl",
    "JobCreation",
    "JobLifecycle",
    "Quotas",
    "Reset",
    "Resources",
    "Verifications",
    "Watchers",
    "WorkSender",
    "of_job",
]
