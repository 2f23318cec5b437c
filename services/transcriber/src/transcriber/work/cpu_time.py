"""Measure CPU seconds of our own threads and of the engine's process."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class CpuClock:
    """Runs functions in threads and sums their CPU time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in a thread; its time is added when it returns."""

        def measured() -> tuple[R, float]:
            began = time.thread_time()
            return function(*args, **kwargs), time.thread_time() - began

        result, seconds = await asyncio.to_thread(measured)
        self.seconds += seconds
        return result


def cpu_seconds(pid: int | None) -> float:
    """Return the CPU seconds of a process so far, to a hundredth; 0 if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
