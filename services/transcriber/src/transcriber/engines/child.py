"""The process an engine runs in: `python -m transcriber.engines.child FD PARENT`, started by `EngineProcess` only.

Requests and replies are pickled tuples over one socket to the parent, which no other process can reach. One request at
a time, one loaded model.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from transcriber.audio.sandbox import end_with_parent

from . import choose, create, served
from .base import DeviceFailed, Engine, EngineError

log = logging.getLogger(__name__)

_NICENESS = 10


class _Worker:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._model_dir = Path(settings["model_dir"])
        self._device, self._threads = settings["device"], settings["threads"]
        self._encoder, self._compute_type = settings["encoder"], settings["compute_type"]
        self._name = choose(settings["engine"], settings["device"], settings["environment"])
        self._engine: Engine | None = None

    def models(self) -> tuple[str, list[str]]:
        return self._name, served(self._name, self._model_dir)

    def info(self, model: str) -> Any:
        return self._warm(model).info

    def tuning(self, model: str) -> tuple[int, int]:
        engine = self._warm(model)
        return engine.threads, engine.batch_windows

    def decode(self, model: str, windows: Any, options: Any) -> Any:
        return self._warm(model).decode(windows, options)

    def detect_language(self, model: str, windows: Any) -> Any:
        return self._warm(model).detect_language(windows)

    def _warm(self, model: str) -> Engine:
        if self._engine is not None and self._engine.info.model == model:
            return self._engine
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self._engine = create(
            self._name,
            model,
            self._model_dir,
            device=self._device,
            threads=self._threads,
            encoder=self._encoder,
            compute_type=self._compute_type,
        )
        return self._engine


def serve(connection: Connection) -> None:
    """Serve requests until the parent closes the connection or the device fails."""
    worker: _Worker | None = None
    while True:
        try:
            request, arguments = connection.recv()
        except EOFError:
            return
        try:
            if worker is None:
                worker = _Worker(arguments[0])
                connection.send(("answer", None))
                continue
            method: Callable[..., Any] = getattr(worker, request)
            connection.send(("answer", method(*arguments)))
        except DeviceFailed as error:
            connection.send(("error", error))
            # Only a new process gets a working CUDA context.
            raise SystemExit(1) from error
        except (EngineError, MemoryError) as error:
            connection.send(("error", error))
        except Exception as error:
            log.exception("request failed")
            connection.send(("error", EngineError(f"{type(error).__name__}: {error}")))


def main() -> None:
    """Read the socket's number and the parent's process id from the command line."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    end_with_parent(parent)
    # Requests to the other services must not wait while every core transcribes.
    os.nice(_NICENESS)
    # Signals to the process group reach this process too, but its parent decides when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    serve(Connection(descriptor))


if __name__ == "__main__":
    main()
