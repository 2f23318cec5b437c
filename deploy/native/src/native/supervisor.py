"""Starts the rows of a fleet table in order of need, restarts those that end, and stops all in reverse order."""

import asyncio
import contextlib
import enum
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO

from .programs import Program, ProgramError, spawn
from .state import StateFolder, port_is_free

BAD_SETTINGS = 2  # exit status of a service that refuses its settings: a retry would not help
ENDED_FOR_GOOD = 0  # exit status of a service that was ended on request: it is not started again
ENDED_TO_RESTART = 75  # exit status of a service that asks for a restart
FIRST_TRIES = 3  # a program that never became ready is given up after these; one that did is restarted for ever
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
STEADY_SECONDS = 30.0  # up for this long: the next end starts the backoff anew
PROBE_SECONDS, SLOWEST_PROBE_SECONDS = 0.1, 0.4
SLOW_START_LOG_SECONDS = 15.0  # how often a slow start is mentioned
PORT_RELEASE_SECONDS = 5.0  # the previous process may need a moment to release its ports
LOG_LIMIT_BYTES = 20_000_000

Say = Callable[[str, str], None]


class Phase(enum.StrEnum):
    """The phase of a row."""

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
    was_ready: bool = False
    signalled: bool = False  # by this supervisor: the exit status then requests nothing
    restarts: int = 0
    started_at: float = 0.0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def exit_status(self) -> int | None:
        """How the last process ended; None while it runs."""
        return None if self.process is None else self.process.returncode

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
        for run in self._runs.values():
            if unknown := {*run.program.needs, *run.program.asks} - set(self._runs):
                raise ProgramError(f"{run.program.name} needs {', '.join(unknown)}: no such row in the fleet table")
        self._order = self._in_order()

    # -- all rows ---------------------------------------------------------------------------------------------------

    async def start(self, held: Collection[str] = ()) -> None:
        """Start everything but what is held down until `start_one`.

        Returns when every wanted row is ready, raises `ProgramError` for the first that cannot be.
        """
        for run in self._runs.values():
            if run.program.name not in held:
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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        stops: dict[str, asyncio.Task[None]] = {}
        for name in reversed(self._order):
            users = [run.program for run in self._runs.values() if name in (*run.program.needs, *run.program.asks)]
            waits = [stops[user.name] for user in users]
            stops[name] = asyncio.create_task(self._stop_after(waits, self._runs[name]))
        await asyncio.gather(*stops.values())
        self._publish()

    async def watch(self) -> None:
        """Wait for as long as the rows run; raises when one cannot be kept.

        Returns when all services have ended on request.
        """
        services = [task for task in self._tasks if self._runs[task.get_name()].program.obeys]
        everything = asyncio.gather(*self._tasks)
        ended = asyncio.gather(*services) if services else everything
        await asyncio.wait([everything, ended], return_when=asyncio.FIRST_COMPLETED)
        for outcome in (everything, ended):
            if outcome.done():
                outcome.result()

    def kill_all(self) -> None:
        """Kill every process at once, without an orderly stop."""
        for run in self._runs.values():
            if run.pid is not None:
                _kill_group(run.pid)

    # -- one row ----------------------------------------------------------------------------------------------------

    def run_of(self, name: str) -> Run:
        """The state of a row."""
        if name not in self._runs:
            raise ProgramError(f"the fleet has no program {name}: it has {', '.join(self._runs)}")
        return self._runs[name]

    async def kill(self, name: str, number: signal.Signals, *, hold: bool) -> None:
        """Send a signal to a program; after SIGKILL return when it has ended.

        With `hold` it stays down until `start_one`; otherwise it is started again like after any death.
        """
        run = self.run_of(name)
        process = run.process
        if hold:
            run.wanted.clear()
        if number not in _SURVIVABLE:
            run.ready.clear()  # at once: `wait_ready` right after must mean the next process
        if process is None or process.returncode is not None:
            return
        run.signalled = run.signalled or number not in _SURVIVABLE
        _signal_program(process.pid, number)
        if number is signal.SIGKILL:
            await process.wait()

    async def stop_one(self, name: str) -> None:
        """Stop a program in its own orderly way and hold it down."""
        run = self.run_of(name)
        run.wanted.clear()
        while run.phase not in {Phase.HELD, Phase.FAILED, Phase.STOPPED}:
            await self._end(run)
            await asyncio.sleep(PROBE_SECONDS / 5)

    async def start_one(self, name: str) -> None:
        """Start a program that was held down, and return when it is ready."""
        run = self.run_of(name)
        run.wanted.set()
        await self.wait_ready(name)

    async def wait_ready(self, name: str) -> None:
        """Return when the program is ready; raises `ProgramError` when it was given up."""
        run = self.run_of(name)
        while not run.ready.is_set():
            if run.phase is Phase.STOPPED:
                raise ProgramError(f"{name} was ended on request")
            if run.phase is Phase.FAILED:
                raise ProgramError(f"{name} could not be started, see {self._state.log(name)}")
            await asyncio.sleep(PROBE_SECONDS / 2)

    # -- the life cycle -----------------------------------------------------------------------------------------------

    async def _keep(self, run: Run) -> None:
        """Run the program again and again, as long as it is wanted."""
        failures = 0
        while True:
            for need in run.program.needs:
                await self._runs[need].ready.wait()
            if not run.wanted.is_set():
                self._enter(run, Phase.HELD)
                await run.wanted.wait()
                failures = 0
            began = time.monotonic()
            why = await self._live(run)
            if run.phase is Phase.DONE:
                return
            steady = run.phase is Phase.READY and time.monotonic() - began > STEADY_SECONDS
            failures = 1 if steady else failures + 1
            run.ready.clear()
            if not run.wanted.is_set():
                self._say(run.program.name, f"{why}; held down")
                continue
            if reason := _requested_end(run):
                self._say(run.program.name, reason)
                self._enter(run, Phase.STOPPED if run.exit_status == ENDED_FOR_GOOD else Phase.RESTARTING)
                if run.phase is Phase.STOPPED:
                    return
                run.restarts += 1
                failures = 0
                continue
            hopeless = run.program.is_task or run.exit_status == BAD_SETTINGS or failures >= FIRST_TRIES
            if hopeless and not run.was_ready:
                self._enter(run, Phase.FAILED)
                raise ProgramError(self._explain(run, why))
            delay = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1]
            self._say(run.program.name, f"{why}; starting it again in {delay:g} s")
            self._enter(run, Phase.RESTARTING)
            run.restarts += 1
            await asyncio.sleep(delay)

    async def _live(self, run: Run) -> str:
        """One run of the program, from its preparation to its end; returns how it ended."""
        program = run.program
        if program.settled is not None and await program.settled():
            return self._done(run, "nothing to do")
        self._enter(run, Phase.STARTING)
        began = time.monotonic()
        run.process = None
        try:
            await self._await_ports(program)
            if program.prepare is not None:
                await program.prepare()
        except ProgramError as error:
            if not run.was_ready:
                raise
            return str(error)
        with self._open_log(program.name) as output:
            process = await self._spawn(run, output)
        ended = asyncio.create_task(process.wait())
        try:
            if program.is_task:
                await asyncio.wait([ended], timeout=program.start_seconds)
            elif await self._becomes_ready(run, ended):
                run.was_ready = True
                run.ready.set()
                self._enter(run, Phase.READY)
                self._say(program.name, f"ready after {time.monotonic() - began:.1f} s")
                await ended
            if not ended.done():
                symptom = await self._symptom(program)
                await self._end(run)
                return f"was not ready after {program.start_seconds:g} s{symptom}"
            if program.is_task and ended.result() == 0:
                if program.provision is not None:
                    await program.provision()
                return self._done(run, f"done after {time.monotonic() - began:.1f} s")
            _kill_group(process.pid)  # the remaining children
            return _ending(ended.result())
        finally:
            ended.cancel()

    def _done(self, run: Run, how: str) -> str:
        run.ready.set()
        self._enter(run, Phase.DONE)
        self._say(run.program.name, how)
        return how

    async def _spawn(self, run: Run, output: IO[bytes]) -> asyncio.subprocess.Process:
        """Start the process; a cancellation in between must not lose it."""
        spawning = asyncio.ensure_future(spawn(run.program, output))
        try:
            await asyncio.shield(spawning)
        finally:
            run.process = process = await spawning
        run.signalled = False
        run.started_at = time.time()
        self._publish()
        return process

    async def _becomes_ready(self, run: Run, ended: asyncio.Task[int]) -> bool:
        """Probe until the program is ready and provisioned; False when it ended or took too long."""
        program = run.program
        assert program.ready is not None
        deadline = time.monotonic() + program.start_seconds
        next_word = time.monotonic() + SLOW_START_LOG_SECONDS
        pause = PROBE_SECONDS
        while not ended.done() and time.monotonic() < deadline:
            if await program.ready() and not ended.done():
                try:
                    if program.provision is not None:
                        await program.provision()
                except Exception as error:  # any error inside the server may be temporary
                    self._say(program.name, f"cannot be provisioned yet: {type(error).__name__}: {error}")
                else:
                    return True
            if time.monotonic() > next_word:
                next_word += SLOW_START_LOG_SECONDS
                self._say(program.name, f"is not ready yet{await self._symptom(program)}")
            await asyncio.wait([ended], timeout=pause)
            pause = min(pause * 1.2, SLOWEST_PROBE_SECONDS)  # a service logs every failed probe
        return False

    async def _symptom(self, program: Program) -> str:
        symptom = "" if program.symptom is None else await program.symptom()
        return f" ({symptom})" if symptom else ""

    async def _await_ports(self, program: Program) -> None:
        """Refuse to start if another program listens on a port: its answers would count as readiness."""
        deadline = time.monotonic() + PORT_RELEASE_SECONDS
        while taken := [port for port in program.ports.values() if not port_is_free(port)]:
            if time.monotonic() > deadline:
                raise ProgramError(
                    f"{program.name}: port {taken[0]} is used by another program. Choose another one if you set it; "
                    "otherwise run the command again, and another is chosen."
                )
            await asyncio.sleep(PROBE_SECONDS)

    # -- ending -----------------------------------------------------------------------------------------------------

    async def _stop_after(self, waits: Iterable[asyncio.Task[None]], run: Run) -> None:
        await asyncio.gather(*waits)
        await self._end(run)
        if run.phase is not Phase.FAILED:
            self._enter(run, Phase.STOPPED)

    async def _end(self, run: Run) -> None:
        """Ask the program to stop, kill it after its time, and end the rest of its group."""
        process = run.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(run.program.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), run.program.stop_seconds)
        except TimeoutError:
            if run.program.stops_itself:
                self._say(run.program.name, f"did not stop within {run.program.stop_seconds:g} s, killed")
            _kill_group(process.pid)
            await process.wait()
        _kill_group(process.pid)

    # -- output -----------------------------------------------------------------------------------------------------

    def _in_order(self) -> list[str]:
        """Names, each after those that it needs."""
        order: list[str] = []
        while len(order) < len(self._runs):
            known = set(order)
            batch = [
                name
                for name, run in self._runs.items()
                if name not in known and {*run.program.needs, *run.program.asks} <= known
            ]
            if not batch:
                raise ProgramError("the fleet table has a circle of needs")
            order += batch
        return order

    async def _all_ready(self) -> None:
        for run in self._runs.values():
            if run.wanted.is_set():
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
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")

    def _explain(self, run: Run, why: str) -> str:
        path = self._state.log(run.program.name)
        tail = " / ".join(line for line in path.read_text(errors="replace").splitlines()[-5:] if line.strip())
        return f"{run.program.name} {why} while starting. Its last output: {tail or '(none)'} (complete: {path})"


_SURVIVABLE = {signal.SIGSTOP, signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP}


def _requested_end(run: Run) -> str | None:
    """Why the program ended, if its exit status says that an administrator ordered it; otherwise None."""
    if run.signalled or not (run.program.obeys and run.was_ready):
        return None
    return {ENDED_FOR_GOOD: "ended on request", ENDED_TO_RESTART: "restarts on request"}.get(
        run.exit_status if run.exit_status is not None else -1
    )


def _ending(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
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
