"""Queries, one module per noun; no decisions, no commits."""

from .catalogue import JobRepository
from .concurrency import ConcurrencyRepository
from .dead_letters import DeadLetterRepository
from .dispatch import DispatchRepository, WaitingChunk
from .figures import FiguresRepository
from .history import HistoryRepository
from .idempotency import IdempotencyRepository
from .instances import InstanceRepository
from .ledger import LedgerRepository, LedgerRow
from .listing import ListingRepository
from .logs import LogRepository
from .overdue import OverdueRepository
from .owners import OwnerRepository
from .queue import QueueRepository
from .search import SearchRepository
from .usage import UsageRepository, Used
from .verifications import VerificationRepository
from .workers import WorkerRepository

__all__ = [
    "ConcurrencyRepository",
    "DeadLetterRepository",
    "DispatchRepository",
    "FiguresRepository",
    "HistoryRepository",
    "IdempotencyRepository",
    "InstanceRepository",
    "JobRepository",
    "LedgerRepository",
    "LedgerRow",
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
