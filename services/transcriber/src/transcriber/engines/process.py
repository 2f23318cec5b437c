"""An engine in a process of its own: native code that crashes or hangs takes a chunk with it, never the service."""

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
    """What an engine process is started with; `threads` 0 leaves their number to the engine.

    A process that nobody asked anything for `idle_seconds` ends, and with it goes the model's memory; 0 = it stays.
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
    """The engine's face in the service. Requests wait for each other; the process starts with the first one.

    Every request may raise EngineDied when the process ends under it; the next request starts a new process. Errors of
    the engine itself (ModelUnavailable, LanguageUnsupported, DeviceFailed, MemoryError, EngineError) come through.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._child: _Child | None = None
        self._turn = asyncio.Lock()
        self._exchanges: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.device_failed = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None

    async def models(self) -> tuple[str, list[str]]:
        """Name the engine that runs (never `auto`) and the models it finds in MODEL_DIR."""
        answer: tuple[str, list[str]] = await self._ask("models")
        return answer

    async def info(self, model: str) -> EngineInfo:
        """Load the model if it is not the warm one, and describe the engine that holds it."""
        answer: EngineInfo = await self._ask("info", model)
        return answer

    async def tuning(self, model: str) -> tuple[int, int]:
        """Load the model if it is not the warm one; say its threads, and how many windows it decodes in a batch."""
        answer: tuple[int, int] = await self._ask("tuning", model)
        return answer

    async def decode(self, model: str, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Decode windows with this model, loading it if it is not the warm one; one result per window, in order."""
        answer: list[WindowResult] = await self._ask("decode", model, list(windows), options)
        return answer

    async def detect_language(self, model: str, windows: Sequence[Window]) -> tuple[str, float]:
        """Name the language of these windows taken together, with its probability."""
        answer: tuple[str, float] = await self._ask("detect_language", model, list(windows))
        return answer

    @property
    def pid(self) -> int | None:
        """The engine process's id while it runs."""
        return self._child.process.pid if self._child else None

    async def close(self) -> None:
        """End the process at once; a request in its hands raises EngineDied."""
        self._closed = True
        self._stay()
        if self._child is not None:
            self._child.process.kill()
        async with self._turn:
            await self._end()

    async def _ask(self, request: str, *arguments: Any) -> Any:
        # A caller that gives up must not leave its answer to the next one: the exchange runs to its end by itself.
        return await asyncio.shield(self._detached(self._exchange(request, arguments)))

    def _detached(self, exchange: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(exchange)
        self._exchanges.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, exchange: asyncio.Task[Any]) -> None:
        self._exchanges.discard(exchange)
        if not exchange.cancelled():
            # Nobody may be waiting any more; asking for the error keeps asyncio from reporting it as lost.
            exchange.exception()

    async def _exchange(self, request: str, arguments: tuple[Any, ...]) -> Any:
        async with self._turn:
            if self._closed:
                raise EngineDied("The engine was closed.")
            self._stay()
            if self._child is None:
                await self._start()
            try:
                return await self._call(request, arguments)
            finally:
                self._rest()

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _rest(self) -> None:
        """Unload the model after a while, unless somebody asks before."""
        if self._settings.idle_seconds and self._child is not None and not self._closed:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._settings.idle_seconds, lambda: self._detached(self._unload()))

    async def _unload(self) -> None:
        timer = self._idle
        async with self._turn:
            # Somebody who asked while we waited for our turn has set another timer, or none.
            if timer is self._idle and timer is not None and self._child is not None:
                log.info("engine process unloaded, nobody asked it for a while", engine_pid=self.pid)
                await self._end()

    async def _call(self, request: str, arguments: tuple[Any, ...]) -> Any:
        assert self._child is not None
        try:
            kind, answer = await asyncio.to_thread(self._child.exchange, request, arguments)
        except (EOFError, OSError) as error:
            raise EngineDied(f"The engine's process ended ({_describe(await self._end())}).") from error
        if kind == "error":
            if isinstance(answer, DeviceFailed):
                self.device_failed.set()
                await self._end()
            raise answer
        return answer

    async def _start(self) -> None:
        # From the event loop's own thread: the child dies with the thread that started it.
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


def _pinned(settings: EngineSettings) -> dict[str, str]:
    """Let the process see one GPU only, numbered as the driver numbers them."""
    if not settings.gpu_device:
        return {}
    return {"CUDA_VISIBLE_DEVICES": settings.gpu_device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


class _Child:
    """The process, the socket to it, and the thread that puts what its libraries print into the service's log."""

    def __init__(self, settings: EngineSettings) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", f"{__package__}.child", str(theirs.fileno()), str(os.getpid())]
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env=os.environ | dict.fromkeys(_THREAD_VARIABLES, str(settings.threads or 1)) | _pinned(settings),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        self._connection = Connection(ours.detach())
        self._relay = threading.Thread(target=self._log_stderr, name="engine-log", daemon=True)
        self._relay.start()

    def exchange(self, request: str, arguments: tuple[Any, ...]) -> Any:
        """Send a request and wait for its answer; EOFError or OSError when the process is gone."""
        self._connection.send((request, arguments))
        return self._connection.recv()

    def end(self) -> int:
        """Kill the process, if it still runs, and return its exit status."""
        self.process.kill()
        status = self.process.wait()
        self._connection.close()
        self._relay.join()
        return status

    def _log_stderr(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                log.warning("engine process says", line=line.rstrip(), engine_pid=self.process.pid)


def _describe(status: int | None) -> str:
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"status {status}"
