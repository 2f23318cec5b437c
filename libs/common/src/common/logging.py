"""Structured logging: one record per line to stdout and a rotating file, and to a sink for the message bus.

Records of structlog and of the standard library (uvicorn, sqlalchemy) have the same handlers and fields:
{"log_id", "timestamp", "level", "event", "service", "instance", "logger", "correlation_id"?, "trace_id"?,
"job_id"?, "exception"?, …keys}.
"""

import asyncio
import contextlib
import json
import logging
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog

from common import context
from common.settings import ServiceSettings

Record = dict[str, Any]

SINK_CAPACITY = 5_000
EXCEPTION_CAPACITY = 16_000  # characters; the end of a traceback is kept

# These log every message or request, and httpx logs whole URLs with signatures: warnings only.
_QUIET = ("aio_pika", "aiormq", "httpx", "httpcore", "sqlalchemy", "urllib3", "asyncio", "python_multipart")
# Records of these loggers are not published: publishing a record would create the next one.
_OFF_THE_BUS = ("aio_pika", "aiormq", "common.messaging.logs")


class LogSink:
    """A bounded buffer of records to publish; thread-safe, never blocks, drops the oldest."""

    def __init__(self, capacity: int = SINK_CAPACITY) -> None:
        self.dropped = 0
        self._records: deque[Record] = deque()
        self._capacity = capacity
        # Re-entrant: the garbage collector may log inside the blocks below.
        self._lock = threading.RLock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def put(self, record: Record) -> None:
        """Add a record; when the buffer is full the oldest is dropped."""
        with self._lock:
            if len(self._records) >= self._capacity:
                self._records.popleft()
                self.dropped += 1
            self._records.append(record)
            waiting, self._waiting = self._waiting, {}
        for event, loop in waiting.items():
            with contextlib.suppress(RuntimeError):  # the loop of that waiter has been closed
                loop.call_soon_threadsafe(event.set)

    def drain(self, limit: int) -> list[Record]:
        """Remove and return up to `limit` records, the oldest first."""
        with self._lock:
            return [self._records.popleft() for _ in range(min(limit, len(self._records)))]

    def put_back(self, records: Sequence[Record]) -> None:
        """Put drained records back as the oldest; those that do not fit are dropped."""
        with self._lock:
            room = max(0, self._capacity - len(self._records))
            kept = records[len(records) - room :] if room < len(records) else records
            self.dropped += len(records) - len(kept)
            self._records.extendleft(reversed(kept))

    async def wait(self) -> None:
        """Wait until there is a record."""
        event = asyncio.Event()
        with self._lock:
            if self._records:
                return
            self._waiting[event] = asyncio.get_running_loop()
        try:
            await event.wait()
        finally:
            with self._lock:
                self._waiting.pop(event, None)


_sink = LogSink()


def sink() -> LogSink:
    """The sink of this process, which `configure` connects."""
    return _sink


def configure(settings: ServiceSettings, service: str) -> LogSink:
    """Configure all logging of this process by the settings and return the sink for the bus.

    A second call replaces the handlers of the first; the sink stays the same.
    """
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Ours)]:
        root.removeHandler(old)
        old.close()
    builder = _RecordBuilder(service, settings.instance)
    if settings.log_to_stdout:
        zone = ZoneInfo(settings.timezone) if settings.log_format == "console" else None
        root.addHandler(_Stdout(builder, zone))
    if settings.log_dir is not None:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        root.addHandler(_File(builder, settings, service))
    root.addHandler(_ToSink(builder, _sink))
    root.setLevel(settings.log_level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    server = logging.getLogger("uvicorn.error")
    # At DEBUG the WebSocket library logs the headers of every handshake, with tokens.
    server.setLevel(max(logging.INFO, root.level))
    server.addFilter(_without_query)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # only through the handlers of the root logger
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.captureWarnings(True)
    structlog.configure(
        processors=_STRUCTLOG_PROCESSORS,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return _sink


def _without_query(record: logging.LogRecord) -> bool:
    """Remove the query from the WebSocket URLs that the server logs: it may contain tokens."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            argument.partition("?")[0] if isinstance(argument, str) and argument.startswith("/") else argument
            for argument in record.args
        )
    return True


# structlog only passes records on; the handlers below format them, because they receive the records of all loggers.
_STRUCTLOG_PROCESSORS: list[structlog.types.Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


class _RecordBuilder:
    """Builds the record from one of the standard library, once for all handlers."""

    def __init__(self, service: str, instance: str) -> None:
        self._service = service
        self._instance = instance

    def build(self, record: logging.LogRecord) -> Record:
        built: Record | None = getattr(record, "_verbatim", None)
        if built is None:
            built = self._build(record)
            record._verbatim = built
        return built

    def _build(self, record: logging.LogRecord) -> Record:
        keys = dict(record.msg) if isinstance(record.msg, Mapping) else {"event": record.getMessage()}
        exc_info = keys.pop("exc_info", None) or record.exc_info
        built: Record = {
            "log_id": uuid4().hex,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "event": str(keys.pop("event", "")),
            "service": self._service,
            "instance": self._instance,
            "logger": record.name,
        }
        from_context = {
            "correlation_id": context.correlation_id(),
            "trace_id": context.trace_id(context.traceparent()),
            "job_id": context.job_id(),
        }
        built |= {name: value for name, value in from_context.items() if value is not None and name not in keys}
        for name, value in keys.items():
            built[f"{name}_" if name in built else name] = _plain(value)
        if text := _exception_text(exc_info):
            built["exception"] = text[-EXCEPTION_CAPACITY:]
        return built


def _exception_text(exc_info: Any) -> str | None:
    if not exc_info:
        return None
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    return logging.Formatter().formatException(exc_info) if exc_info[0] is not None else None


def _plain(value: Any) -> Any:
    """The value as JSON supports it, so that no handler or publisher fails later."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


def _as_json(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


class _Ours(logging.Handler):
    """Marks the handlers that `configure` installed, so that the next call can replace them."""


class _Stdout(_Ours):
    """Writes records to the current sys.stdout: as JSON, or as text with times of TIMEZONE."""

    def __init__(self, builder: _RecordBuilder, zone: ZoneInfo | None) -> None:
        super().__init__()
        self._builder = builder
        self._zone = zone
        self._console = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()) if zone is not None else None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stream: TextIO = sys.stdout
            stream.write(self._line(self._builder.build(record)) + "\n")
            stream.flush()
        except Exception:  # logging must not fail the caller
            self.handleError(record)

    def _line(self, built: Record) -> str:
        if self._console is None:
            return _as_json(built)
        shown = {name: value for name, value in built.items() if name not in ("log_id", "instance", "trace_id")}
        shown["timestamp"] = datetime.fromisoformat(built["timestamp"]).astimezone(self._zone).isoformat()
        return str(self._console(None, "", shown))


class _File(_Ours, RotatingFileHandler):
    """Writes JSON lines to LOG_DIR/<service>.log and rotates the file at its size limit."""

    def __init__(self, builder: _RecordBuilder, settings: ServiceSettings, service: str) -> None:
        assert settings.log_dir is not None
        RotatingFileHandler.__init__(
            self,
            settings.log_dir / f"{service}.log",
            maxBytes=settings.log_max_bytes,
            backupCount=settings.log_backup_count,
            encoding="utf-8",
        )
        self._builder = builder

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the name in the base class
        """Whether the file is full; reopens it first if another process of the service rotated it."""
        if self.stream is not None and not self._is_current(self.stream):
            self.stream.close()
            self.stream = self._open()
        return bool(super().shouldRollover(record))

    def format(self, record: logging.LogRecord) -> str:
        return _as_json(self._builder.build(record))

    def _is_current(self, stream: TextIO) -> bool:
        try:
            return os.path.samestat(Path(self.baseFilename).stat(), os.fstat(stream.fileno()))
        except FileNotFoundError:
            return False


class _ToSink(_Ours):
    """Puts records into the sink, except those that publishing causes."""

    def __init__(self, builder: _RecordBuilder, sink: LogSink) -> None:
        super().__init__()
        self._builder = builder
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        if any(record.name == name or record.name.startswith(f"{name}.") for name in _OFF_THE_BUS):
            return
        try:
            self._sink.put(self._builder.build(record))
        except Exception:
            self.handleError(record)
