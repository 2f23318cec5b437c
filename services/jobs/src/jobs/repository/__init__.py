"""The queries, one module per noun; no decisions, no commits."""

from .archive import LogRepository
from .catalogue import JobRepository
from .deadletters import DeadLetterRepository
from .dispatch import DispatchRepository, WaitingChunk
from .history import HistoryRepository
from .idempotency import IdempotencyRepository
from .ledger import LedgerRepository, Line
from .listing import ListingRepository
from .overdue import OverdueRepository
from .owners import OwnerRepository
from .queue import QueueRepository
from .search import SearchRepository
from .usage import UsageRepository, Used
from .verifications import VerificationRepository
from .workers import WorkerRepository

__all__ = [
    "DeadLetterRepository",
    "DispatchRepository",
    "HistoryRepository",
    "IdempotencyRepository",
    "JobRepository",
    "LedgerRepository",
    "Line",
    "ListingRepository",
    "LogRepository",
    "OverdueRepository",
    "OwnerRepository",
    "QueueRepository",
    "SearchRepository",
    "UsageRepository",
    "Used",
    "VerificationRepository",
    "WaitingChunk",
    "WorkerRepository",
]
