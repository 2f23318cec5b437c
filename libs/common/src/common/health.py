"""Supervised background loops: they are restarted after a crash, and readiness shows a failing one."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

log = structlog.get_logger(__name__)

RESTARTS = Counter("verbatim_loop_restarts_total", "Background loops that crashed and were started again.", ["loop"])


class LoopFailing(Exception):
    """Background loops crashed and have not run for `steady` seconds since."""

    def __init__(self, loops: Sequence[str]) -> None:
        super().__init__(f"background loops are failing: {', '.join(loops)}")
        self.loops = loops


@dataclass
class _Loop:
    run: Callable[[], Awaitable[None]]
    crashed: bool = False
    running_since: float | None = None  # monotonic seconds, None during the pause after a crash


class Background:
    """Runs endless loops concurrently; a loop that crashes is logged and restarted after an increasing pause.

    A loop counts as failing, and `check` raises, from its crash until it has run for `steady` seconds again.
    A loop that returns also counts as crashed.
    """

    def __init__(self, *, first_pause: float = 0.5, longest_pause: float = 30.0, steady: float = 5.0) -> None:
        """Times in seconds."""
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._steady = steady
        self._loops: dict[str, _Loop] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a loop under a unique name; `run` is called again after each crash."""
        if name in self._loops:
            raise ValueError(f"a loop named {name!r} is already running")
        self._loops[name] = _Loop(run)
        self._tasks[name] = asyncio.create_task(self._supervise(name, self._loops[name]), name=name)

    async def stop(self, timeout: float = 10.0) -> None:
        """Cancel all loops, the last started first, and wait for them at most `timeout` seconds."""
        tasks = list(reversed(self._tasks.values()))
        self._loops.clear()
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=timeout)
            if unfinished:
                log.error("background loops did not stop", loops=sorted(task.get_name() for task in unfinished))

    async def check(self) -> None:
        """Raise LoopFailing naming the loops that are not running steadily; made for `Readiness.add`."""
        failing = sorted(name for name in self._loops if self._is_failing(name))
        if failing:
            raise LoopFailing(failing)

    def _is_failing(self, name: str) -> bool:
        loop = self._loops[name]
        if self._tasks[name].done() or loop.running_since is None:
            return loop.crashed or self._tasks[name].done()
        return loop.crashed and time.monotonic() - loop.running_since < self._steady

    async def _supervise(self, name: str, loop: _Loop) -> None:
        pause = self._first_pause
        while True:
            loop.running_since = started = time.monotonic()
            await self._run_once(name, loop)
            loop.crashed, loop.running_since = True, None
            if time.monotonic() - started >= self._steady:
                pause = self._first_pause
            RESTARTS.labels(name).inc()
            # Jitter: processes must not restart at the same time after a shared failure.
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret
            pause = min(pause * 2, self._longest_pause)

    async def _run_once(self, name: str, loop: _Loop) -> None:
        try:
            await loop.run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # A closed channel cancels its callbacks; the loop itself was not cancelled.
            log.warning("background loop cancelled by its own code", loop=name)
        except Exception:
            log.exception("background loop crashed", loop=name)
        else:
            log.error("background loop returned", loop=name)
