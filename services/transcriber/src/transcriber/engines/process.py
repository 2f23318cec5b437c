"""Run an engine in a child process: native code that crashes or hangs costs a chunk, not the service."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from . import ComputeType, DeviceName, EncoderName, EngineName
from .base import DecodeOptions, DeviceFailed, EngineDied, EngineInfo, Window, WindowResult

log = structlog.get_logger(__name__)

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of an engine process; `threads` 0 leaves the number to the engine.

    The process ends after `idle_seconds` without a request, which frees the model's memory; 0 = never.
    """

    model_dir: Path
    engine: EngineName = "auto"
    device: DeviceName = "auto"
    threads: int = 0
    encoder: EncoderName = "auto"
    compute_type: ComputeType = "auto"
    environment: str = "production"
    idle_seconds: float = 0.0
    gpu_device: str = ""


class EngineProcess:
    """Client of the engine process. Requests run one at a time; the process starts with the first one.

    A request raises EngineDied if the process ends during it; the next request starts a new process. Errors of the
    engine itself (ModelUnavailable, LanguageUnsupported, DeviceFailed, MemoryError, EngineError) are passed on.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._child: _Child | None = None
        self._turn = asyncio.Lock()
        self._exchanges: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.device_failed = asyncio.Event()
        self._idle_timer: asyncio.TimerHandle | None = None

    async def models(self) -> tuple[str, list[str]]:
        """Return the name of the engine (never `auto`) and its models in MODEL_DIR."""
        reply: tuple[str, list[str]] = await self._request("models")
        return reply

    async def info(self, model: str) -> EngineInfo:
        """Load the model if necessary and describe the engine."""
        reply: EngineInfo = await self._request("info", model)
        return reply

    async def tuning(self, model: str) -> tuple[int, int]:
        """Load the model if necessary; return its number of threads and of windows in a batch."""
        reply: tuple[int, int] = await self._request("tuning", model)
        return reply

    async def decode(self, model: str, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Load the model if necessary and decode windows; one result per window, in order."""
        reply: list[WindowResult] = await self._request("decode", model, list(windows), options)
        return reply

    async def detect_language(self, model: str, windows: Sequence[Window]) -> tuple[str, float]:
        """Detect the common language of these windows, with its probability."""
        reply: tuple[str, float] = await self._request("detect_language", model, list(windows))
        return reply

    @property
    def pid(self) -> int | None:
        """The engine process's id while it runs."""
        return self._child.process.pid if self._child else None

    async def close(self) -> None:
        """Kill the process; a running request raises EngineDied."""
        self._closed = True
        self._cancel_idle_timer()
        if self._child is not None:
            self._child.process.kill()
        async with self._turn:
            await self._end()

    async def _request(self, request: str, *arguments: Any) -> Any:
        # The exchange runs to its end if the caller is cancelled: the reply must not reach the next caller.
        return await asyncio.shield(self._detached(self._exchange(request, arguments)))

    def _detached(self, exchange: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(exchange)
        self._exchanges.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, exchange: asyncio.Task[Any]) -> None:
        self._exchanges.discard(exchange)
        if not exchange.cancelled():
            # Retrieve the error, because asyncio reports an error that no caller has retrieved.
            exchange.exception()

    async def _exchange(self, request: str, arguments: tuple[Any, ...]) -> Any:
        async with self._turn:
            if self._closed:
                raise EngineDied("The engine was closed.")
            self._cancel_idle_timer()
            if self._child is None:
                await self._start()
            try:
                return await self._call(request, arguments)
            finally:
                self._start_idle_timer()

    def _cancel_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _start_idle_timer(self) -> None:
        """Unload the model after the idle time, unless a request comes before."""
        if self._settings.idle_seconds and self._child is not None and not self._closed:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._settings.idle_seconds, lambda: self._detached(self._unload()))

    async def _unload(self) -> None:
        timer = self._idle_timer
        async with self._turn:
            # A request that came meanwhile has set another timer, or none.
            if timer is self._idle_timer and timer is not None and self._child is not None:
                log.info("idle engine process ended", engine_pid=self.pid)
                await self._end()

    async def _call(self, request: str, arguments: tuple[Any, ...]) -> Any:
        assert self._child is not None
        try:
            kind, reply = await asyncio.to_thread(self._child.exchange, request, arguments)
        except (EOFError, OSError) as error:
            raise EngineDied(f"The engine's process ended ({_describe(await self._end())}).") from error
        if kind == "error":
            if isinstance(reply, DeviceFailed):
                self.device_failed.set()
                await self._end()
            raise reply
        return reply

    async def _start(self) -> None:
        # From the event loop's own thread: the child ends with the thread that started it.
        self._child = _Child(self._settings)
        try:
            await self._call("start", (asdict(self._settings),))
            name, models = await self._call("models", ())
        except Exception:
            await self._end()
            raise
        log.info("engine process started", engine=name, engine_pid=self.pid, models=models)
        if name == "canned":
            log.warning("THE CANNED ENGINE IS RUNNING: ITS TEXTS ARE INVENTED AND HAVE NOTHING TO DO WITH THE AUDIO")

    async def _end(self) -> int | None:
        child, self._child = self._child, None
        return await asyncio.to_thread(child.end) if child else None


def _gpu_environment(settings: EngineSettings) -> dict[str, str]:
    """Environment that makes one GPU visible, by the driver's numbers."""
    if not settings.gpu_device:
        return {}
    return {"CUDA_VISIBLE_DEVICES": settings.gpu_device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


class _Child:
    """The process, the socket to it, and the thread that logs its error output."""

    def __init__(self, settings: EngineSettings) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", f"{__package__}.child", str(theirs.fileno()), str(os.getpid())]
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env=os.environ
                | dict.fromkeys(_THREAD_VARIABLES, str(settings.threads or 1))
                | _gpu_environment(settings),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        self._connection = Connection(ours.detach())
        self._relay = threading.Thread(target=self._log_stderr, name="engine-log", daemon=True)
        self._relay.start()

    def exchange(self, request: str, arguments: tuple[Any, ...]) -> Any:
        """Send a request and wait for the reply; EOFError or OSError if the process has ended."""
        self._connection.send((request, arguments))
        return self._connection.recv()

    def end(self) -> int:
        """Kill the process if it runs, and return its exit status."""
        self.process.kill()
        status = self.process.wait()
        self._connection.close()
        self._relay.join()
        return status

    def _log_stderr(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                log.warning("engine process output", line=line.rstrip(), engine_pid=self.process.pid)


def _describe(status: int | None) -> str:
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"status {status}"
