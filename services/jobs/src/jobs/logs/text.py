"""Log records as lines of text."""

import json
from typing import Any

# Keys that a line shows elsewhere, or that identify the origin of the record.
_ORIGIN = frozenset({"log_id", "timestamp", "level", "event", "service", "instance", "logger", "correlation_id"})
_HIDDEN = _ORIGIN | {"trace_id", "exception"}


def line_of(record: dict[str, Any]) -> str:
    """`2026-11-22 16:05:01.123 INFO    transcriber chunk decoded chunk=3 …`; an exception follows on indented lines.

    No value of a record can start a line that looks like another record.
    """
    moment = str(record.get("timestamp", "")).replace("T", " ")[:23]
    level, service = str(record.get("level", "")).upper(), str(record.get("service", ""))
    keys = " ".join(f"{_plain(name)}={_plain(value)}" for name, value in record.items() if name not in _HIDDEN)
    head = f"{_plain(moment)} {_plain(level):<7} {_plain(service):<11} {_shown(str(record.get('event', '')))}"
    trace = "".join(f"    {_shown(text)}\n" for text in str(record.get("exception", "")).splitlines())
    return f"{head} {keys}".rstrip() + "\n" + trace


def _plain(value: Any) -> str:
    """Return a value without spaces as it is, any other as JSON."""
    if isinstance(value, str) and value and value.isprintable() and not any(mark in value for mark in ' "='):
        return value
    if isinstance(value, str) and all(mark.isdigit() or mark in "-: ." for mark in value) and value:
        return value
    return _shown(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _shown(text: str) -> str:
    """Return text on one line: control characters are escaped."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)
