"""Measurements of a GPU: its name, its utilisation and memory during a run."""

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timed:
    """Seconds of each run, and utilisation and peak memory over all runs."""

    seconds: list[float]
    gibibytes: float
    busy_percent: float


def name() -> str:
    """The name of the card, with the version of its driver."""
    fields = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    found = subprocess.run(fields, capture_output=True, text=True, check=False).stdout.strip()
    return found or torch.cuda.get_device_name()


def timed(work: Callable[[], object], *, runs: int, warm_ups: int = 1) -> Timed:
    """Run a function several times and measure the card."""
    for _ in range(warm_ups):
        work()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    watch = _Watch()
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return Timed(seconds, torch.cuda.max_memory_allocated() / 2**30, watch.stop())


class _Watch:
    """Samples the card's utilisation ten times a second; NaN without samples."""

    def __init__(self) -> None:
        self._seen: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.1):
            self._seen.append(float(torch.cuda.utilization()))

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return sum(self._seen) / len(self._seen) if self._seen else float("nan")
