"""The queries, one module per noun; no decisions, no commits."""

from .archive import LogRepository
from .catalogue import JobRepository
from .deadletters import DeadLetterRepository
from .dispatch import DispatchRepository, WaitingChunk
from .ledger import LedgerRepository
from .overdue import OverdueRepository
from .workers import WorkerRepository

__all__ = [
    "DeadLetterRepository",
    "DispatchRepository",
    "JobRepository",
    "LedgerRepository",
    "LogRepository",
    "OverdueRepository",
    "WaitingChunk",
    "WorkerRepository",
]
