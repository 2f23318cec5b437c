"""Sessions, the two bookkeeping tables of messaging, and programmatic migrations."""

from .deferred import at_commit
from .engine import DatabaseUnavailable, connect, create_engine, is_outage, sessions
from .migrations import SchemaOutdated, migrate, require_current, revision, revisions, run_env
from .notifications import Notifications, notify
from .tables import InboxMixin, OutboxMixin, metadata

__all__ = [
    "DatabaseUnavailable",
    "InboxMixin",
    "Notifications",
    "OutboxMixin",
    "SchemaOutdated",
    "at_commit",
    "connect",
    "create_engine",
    "is_outage",
    "metadata",
    "migrate",
    "notify",
    "require_current",
    "revision",
    "revisions",
    "run_env",
    "sessions",
]
