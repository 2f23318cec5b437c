"""HTTP bodies of the log archive."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from jobs.tables import LogRecord

from .examples import LOG_PAGE_EXAMPLE


class LogEntry(BaseModel):
    """One archived log record."""

    seq: int
    record: dict[str, Any]


class LogPage(BaseModel):
    """A page of log records, in the order of their numbers."""

    model_config = ConfigDict(json_schema_extra={"examples": [LOG_PAGE_EXAMPLE]})

    items: list[LogEntry]
    next_after: int = Field(description="Pass it as `after` to get the records that follow, now or later.")
    complete: bool = Field(description="The page reached the end of the archive.")

    @classmethod
    def of(cls, records: Sequence[LogRecord], upto: int, *, limit: int) -> "LogPage":
        """Return the page of at most `limit` records; it has every record up to the number `upto`."""
        items = [LogEntry(seq=record.seq, record=record.record) for record in records]
        complete = len(items) < limit
        return cls(items=items, next_after=upto if complete else items[-1].seq, complete=complete)
