"""The context of a request or task: correlation id, trace and job, for log records, headers and messages."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID, uuid4

_correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
_job_id: ContextVar[str | None] = ContextVar("job_id", default=None)

# External ids are written to logs, AMQP headers and database rows: only short ids of safe characters are accepted.
_SANE_ID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<rest>-.*)?", re.ASCII
)


def correlation_id() -> str | None:
    """The id that all effects of one request share; None outside of `bound`."""
    return _correlation_id.get()


def traceparent() -> str | None:
    """The current W3C trace context, "00-<trace>-<span>-01", or None."""
    return _traceparent.get()


def job_id() -> str | None:
    """The job that the current work belongs to, or None."""
    return _job_id.get()


@contextmanager
def bound(
    *, correlation_id: str | None = None, traceparent: str | None = None, job_id: str | UUID | None = None
) -> Iterator[None]:
    """Set the given values for the block; None leaves a value as it is, a missing correlation id is generated."""
    wanted: list[tuple[ContextVar[str | None], str | None]] = [
        (_correlation_id, correlation_id or _correlation_id.get() or new_correlation_id()),
        (_traceparent, traceparent),
        (_job_id, None if job_id is None else str(job_id)),
    ]
    tokens = [(variable, variable.set(value)) for variable, value in wanted if value is not None]
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


def new_correlation_id() -> str:
    """A fresh correlation id, 32 hexadecimal characters."""
    return uuid4().hex


def sane_id(value: str | None) -> str | None:
    """The id if it has at most 128 safe characters, else None."""
    return value if value is not None and _SANE_ID.fullmatch(value) else None


def trace_id(parent: str | None) -> str | None:
    """The trace part of a traceparent, None if it is missing or not valid by W3C Trace Context."""
    match = _TRACEPARENT.fullmatch(parent) if parent is not None else None
    if match is None or (match["rest"] and parent is not None and parent.startswith("00")):
        return None
    return match["trace"]


def child_traceparent(parent: str | None) -> str:
    """A traceparent with a new span id: in the parent's trace, or in a new one if the parent is None or not valid."""
    return f"00-{trace_id(parent) or _random_hex(16)}-{_random_hex(8)}-01"


def _random_hex(size: int) -> str:
    # Setting one bit avoids the all-zero id, which Trace Context does not allow.
    return f"{int.from_bytes(secrets.token_bytes(size)) | 1:0{2 * size}x}"
