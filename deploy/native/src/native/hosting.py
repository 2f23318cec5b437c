"""Programs for a test or a script: a supervisor in a thread of its own."""

import asyncio
import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from .programs import Program
from .state import StateFolder
from .supervisor import Say, Supervisor

T = TypeVar("T")
Table = Callable[[StateFolder], Sequence[Program]]


def silent(name: str, text: str) -> None:
    """Print nothing: the output is in the logs of the state folder."""


class Hosted:
    """Rows of a fleet table, run in a thread of their own, so that tests of any event loop can start, kill and ask.

    Every `async` method may be awaited from any loop; `running` and `run` serve code without one.
    """

    def __init__(self, state_dir: Path, table: Table, say: Say = silent) -> None:
        self.state = StateFolder(state_dir)
        self._table = table
        self._say = say
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._supervisor: Supervisor | None = None
        self._programs: dict[str, Program] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the supervisor's own loop and block until its result is there."""
        return self._submit(work).result()

    async def start(self, name: str | None = None) -> None:
        """Start all of them, or one program that was killed or stopped; returns when it is ready."""
        if name is not None:
            await self._there(self._running().start_one(name))
            return
        supervisor = self._open()
        try:
            await self._there(supervisor.start())
        except BaseException:
            await self.stop()
            raise

    async def stop(self, name: str | None = None) -> None:
        """Stop all of them, or one program in its orderly way; that one stays down until `start(name)`."""
        if name is not None:
            await self._there(self._running().stop_one(name))
        elif self._supervisor is not None:
            await self._there(self._supervisor.stop())
            self._close()

    @contextlib.contextmanager
    def running(self, *, held: Collection[str] = ()) -> Iterator[Self]:
        """All of them for the length of a `with` block, for code without an event loop (a session fixture).

        What is `held` stays down until `start(name)`.
        """
        supervisor = self._open()
        try:
            self.run(supervisor.start(held))
            yield self
        finally:
            self.run(supervisor.stop())
            self._close()

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL, *, hold: bool = True) -> None:
        """Send a signal to a program; SIGKILL returns when it has ended.

        With `hold` it stays down until `start(name)`; without, the supervisor starts it again as it would in life.
        """
        await self._there(self._running().kill(name, number, hold=hold))

    async def wait_ready(self, name: str) -> None:
        """Wait until a program that is being started again is ready."""
        await self._there(self._running().wait_ready(name))

    def port(self, name: str, purpose: str = "http") -> int:
        """A program's port by purpose."""
        return self._programs[name].ports[purpose]

    @property
    def ports(self) -> dict[int, tuple[str, str]]:
        """Every port that the programs may listen on: by number, the program and the purpose."""
        return {port: (name, purpose) for name, row in self._programs.items() for purpose, port in row.ports.items()}

    def url(self, name: str) -> str:
        """The base URL of a program that speaks HTTP."""
        return f"http://127.0.0.1:{self.port(name)}"

    def log_tail(self, name: str, lines: int = 50) -> str:
        """The last lines that a program printed."""
        path = self.state.log(name)
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the programs are not started")
        return self._supervisor

    def _open(self) -> Supervisor:
        self.state.lock()
        self.state.clear_leftovers()
        programs = self._table(self.state)
        self._programs = {program.name: program for program in programs}
        self._supervisor = Supervisor(self.state, programs, self._say)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="supervisor", daemon=True)
        self._thread.start()
        return self._supervisor

    def _close(self) -> None:
        assert self._thread is not None
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = self._supervisor = None
        self.state.unlock()

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(self._submit(work))

    def _submit(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        if self._loop is None:
            work.close()
            raise RuntimeError("the programs are not started")
        return asyncio.run_coroutine_threadsafe(work, self._loop)
