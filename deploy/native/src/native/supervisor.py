"""Starts the rows of a fleet table in order of need, restarts what dies, and stops everything in reverse order."""

import asyncio
import contextlib
import enum
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO

from .programs import Program, ProgramFailed, spawn
from .state import StateFolder, port_is_free

FIRST_TRIES = 3  # a program that never became ready is given up after these; one that did is restarted for ever
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
STEADY_SECONDS = 30.0  # up for this long: the next death starts the backoff anew
PROBE_SECONDS = 0.1
LOG_LIMIT_BYTES = 20_000_000

Say = Callable[[str, str], None]


class Phase(enum.StrEnum):
    """Where a row stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    RESTARTING = "restarting"
    HELD = "held"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass
class Run:
    """A row of the table at run time."""

    program: Program
    phase: Phase = Phase.WAITING
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    started_at: float = 0.0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int | None:
        """The process id while there is a process."""
        return self.process.pid if self.process is not None and self.process.returncode is None else None


class Supervisor:
    """Runs the rows of one fleet table; lives in one event loop."""

    def __init__(self, state: StateFolder, programs: Sequence[Program], say: Say) -> None:
        self._state = state
        self._say = say
        self._runs = {program.name: Run(program) for program in programs}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        for run in self._runs.values():
            if unknown := [need for need in run.program.needs if need not in self._runs]:
                raise ProgramFailed(
                    f"{run.program.name} needs {', '.join(unknown)}, which is no row of the fleet table"
                )

    # -- the whole fleet --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything; returns when every row is ready, raises `ProgramFailed` for the first that cannot be."""
        for run in self._runs.values():
            run.wanted.set()
            self._tasks.append(asyncio.create_task(self._keep(run), name=run.program.name))
        everything = asyncio.create_task(self._all_ready())
        pending: set[asyncio.Task[None]] = {everything, *self._tasks}
        try:
            while not everything.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            everything.cancel()

    async def stop(self) -> None:
        """Stop everything, dependents before what they need."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        stops: dict[str, asyncio.Task[None]] = {}
        for name in reversed(self._in_order()):
            waits = [stops[other.program.name] for other in self._runs.values() if name in other.program.needs]
            stops[name] = asyncio.create_task(self._stop_after(waits, self._runs[name]))
        await asyncio.gather(*stops.values())
        self._publish()

    async def wait_failed(self) -> None:
        """Return only by raising: when a running fleet's row cannot be kept up."""
        await asyncio.gather(*self._tasks)
        await asyncio.Event().wait()

    # -- one row --------------------------------------------------------------------------------------------------------

    def run_of(self, name: str) -> Run:
        """The state of a row."""
        if name not in self._runs:
            raise ProgramFailed(f"the fleet has no program {name}: it has {', '.join(self._runs)}")
        return self._runs[name]

    async def kill(self, name: str, number: signal.Signals, *, hold: bool) -> None:
        """Send a signal to a program; after SIGKILL return when it is dead. With `hold` it stays down until `start_one`."""
        run = self.run_of(name)
        process = run.process
        if hold:
            run.wanted.clear()
        if number not in _SURVIVABLE:
            run.ready.clear()  # at once: `wait_ready` right after must mean the next life
        if process is None or process.returncode is not None:
            return
        _signal_program(process.pid, number)
        if number is signal.SIGKILL:
            await process.wait()

    async def stop_one(self, name: str) -> None:
        """Stop a program in its own orderly way and hold it down."""
        run = self.run_of(name)
        run.wanted.clear()
        while run.phase not in {Phase.HELD, Phase.FAILED}:
            await self._end(run)
            await asyncio.sleep(PROBE_SECONDS / 5)

    async def start_one(self, name: str) -> None:
        """Start a program that was held down, and return when it is ready."""
        run = self.run_of(name)
        run.wanted.set()
        await self.wait_ready(name)

    async def wait_ready(self, name: str) -> None:
        """Return when the program is ready; raises `ProgramFailed` when it was given up."""
        run = self.run_of(name)
        while not run.ready.is_set():
            if run.phase is Phase.FAILED:
                raise ProgramFailed(f"{name} could not be started, see {self._state.log(name)}")
            await asyncio.sleep(PROBE_SECONDS / 2)

    # -- how a row lives ----------------------------------------------------------------------------------------------

    async def _keep(self, run: Run) -> None:
        failures = 0
        for need in run.program.needs:
            await self._runs[need].ready.wait()
        while True:
            self._enter(run, Phase.HELD if not run.wanted.is_set() else run.phase)
            await run.wanted.wait()
            began = time.monotonic()
            was_ready, why = await self._live(run)
            if run.phase is Phase.DONE:
                return
            run.ready.clear()
            if not run.wanted.is_set():
                self._say(run.program.name, f"{why}; held down")
                failures = 0
                continue
            if was_ready and time.monotonic() - began > STEADY_SECONDS:
                failures = 0
            failures += 1
            if not was_ready and run.restarts < FIRST_TRIES and (run.program.is_task or failures >= FIRST_TRIES):
                self._enter(run, Phase.FAILED)
                raise ProgramFailed(self._explain(run, why))
            delay = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1]
            self._say(run.program.name, f"{why}; starting it again in {delay:g} s")
            self._enter(run, Phase.RESTARTING)
            run.restarts += 1
            await asyncio.sleep(delay)

    async def _live(self, run: Run) -> tuple[bool, str]:
        """One life of the program: whether it became ready, and how it ended."""
        program = run.program
        self._enter(run, Phase.STARTING)
        began = time.monotonic()
        await self._free_ports(program)
        if program.prepare is not None:
            await program.prepare()
        with self._open_log(program.name) as output:
            await self._spawn(run, output)
        assert run.process is not None
        ended = asyncio.create_task(run.process.wait())
        try:
            if program.is_task:
                status = await asyncio.wait_for(ended, program.start_seconds)
                if status != 0:
                    return False, _ending(status)
                run.ready.set()
                self._enter(run, Phase.DONE)
                return True, "done"
            ready = await self._becomes_ready(run, ended)
            if ready and program.provision is not None:
                await program.provision()
            if ready:
                run.ready.set()
                self._enter(run, Phase.READY)
                self._say(program.name, f"ready after {time.monotonic() - began:.1f} s")
                await ended
            elif not ended.done():
                await self._end(run)
                return False, f"not ready after {program.start_seconds:g} s"
            return ready, _ending(await ended)
        except TimeoutError:
            await self._end(run)
            return False, f"not finished after {program.start_seconds:g} s"
        finally:
            if not ended.done():
                ended.cancel()
            elif run.process.returncode is not None:
                _kill_group(run.process.pid)  # what the leader left behind

    async def _spawn(self, run: Run, output: IO[bytes]) -> None:
        """Start the process; a cancellation in between must not lose sight of it."""
        spawning = asyncio.ensure_future(spawn(run.program, output))
        try:
            run.process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            run.process = await spawning
            raise
        run.started_at = time.time()
        self._publish()

    async def _becomes_ready(self, run: Run, ended: asyncio.Task[int]) -> bool:
        probe = run.program.ready
        assert probe is not None
        deadline = time.monotonic() + run.program.start_seconds
        while not ended.done() and time.monotonic() < deadline:
            if await probe() and not ended.done():
                return True
            await asyncio.wait([ended], timeout=PROBE_SECONDS)
        return False

    async def _free_ports(self, program: Program) -> None:
        """A foreign listener must fail loudly here, or its answers would pass for our readiness."""
        deadline = time.monotonic() + 5.0  # our own program's last life may need a moment to let go
        while taken := [port for port in program.ports.values() if not port_is_free(port)]:
            if time.monotonic() > deadline:
                raise ProgramFailed(
                    f"{program.name}: port {taken[0]} was taken by another program meanwhile; run the command again, "
                    "and another port is chosen."
                )
            await asyncio.sleep(PROBE_SECONDS)

    # -- ending -----------------------------------------------------------------------------------------------------

    async def _stop_after(self, waits: Iterable[asyncio.Task[None]], run: Run) -> None:
        await asyncio.gather(*waits)
        await self._end(run)
        if run.phase is not Phase.FAILED:
            self._enter(run, Phase.STOPPED)

    async def _end(self, run: Run) -> None:
        """Ask the program to stop, insist after its time, and leave nothing of its group behind."""
        process = run.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(run.program.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), run.program.stop_seconds)
        except TimeoutError:
            self._say(run.program.name, f"did not stop within {run.program.stop_seconds:g} s, killed")
            _kill_group(process.pid)
            await process.wait()
        _kill_group(process.pid)

    # -- telling ----------------------------------------------------------------------------------------------------

    def _in_order(self) -> list[str]:
        """Names so that each comes after what it needs."""
        order: list[str] = []
        while len(order) < len(self._runs):
            batch = [n for n, run in self._runs.items() if n not in order and set(run.program.needs) <= set(order)]
            if not batch:
                raise ProgramFailed("the fleet table has a circle of needs")
            order += batch
        return order

    async def _all_ready(self) -> None:
        for run in self._runs.values():
            await run.ready.wait()

    def _enter(self, run: Run, phase: Phase) -> None:
        if phase is not run.phase:
            run.phase = phase
            self._publish()

    def _publish(self) -> None:
        rows = [
            {
                "name": name,
                "phase": run.phase,
                "pid": run.pid,
                "restarts": run.restarts,
                "started_at": run.started_at,
                "ports": dict(run.program.ports),
            }
            for name, run in self._runs.items()
        ]
        self._state.publish({"supervisor": os.getpid(), "programs": rows})

    def _open_log(self, name: str) -> IO[bytes]:
        path = self._state.log(name)
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def _explain(self, run: Run, why: str) -> str:
        path = self._state.log(run.program.name)
        tail = " / ".join(line for line in path.read_text(errors="replace").splitlines()[-5:] if line.strip())
        return f"{run.program.name} {why} while starting. Its last words: {tail or '(none)'} (all of them: {path})"


_SURVIVABLE = {signal.SIGSTOP, signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP}


def _ending(status: int) -> str:
    if status < 0:
        return f"died of {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _signal_program(pid: int, number: signal.Signals) -> None:
    """Signals that a program cannot handle go to its whole group: a wrapper's child would survive them otherwise."""
    with contextlib.suppress(ProcessLookupError):
        if number in {signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT}:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
