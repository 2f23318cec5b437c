"""Measure the fastest number of threads and batch size once per machine, and store them beside the models.

Neither changes a text. The precision does, so it follows from the processor's features and not from a measurement,
which other processes disturb.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from models.layout import write_json

FILE_NAME = ".calibration.json"
_VERSION = 1
_SECONDS = 4.0
# Up to this factor slower counts as equal.
_TOLERANCE = 1.03


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an engine uses its machine; texts do not depend on it."""

    threads: int
    batch_windows: int


def machine(*versions: str) -> str:
    """Return the key of a measurement: the processor, its cores, and the given versions."""
    try:
        processor = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        processor = None
    named = (str(_VERSION), processor[1] if processor else "", str(cores()), *versions)
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:32]


def cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def stored(model_dir: Path, key: str) -> Tuning | None:
    """Return the measurement of an earlier start."""
    try:
        return Tuning(**json.loads((model_dir / FILE_NAME).read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def store(model_dir: Path, key: str, tuning: Tuning) -> None:
    """Store a measurement for the next start, which measures again if MODEL_DIR is not writable."""
    try:
        content = json.loads((model_dir / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = {}
    try:
        write_json(model_dir / FILE_NAME, {**content, key: asdict(tuning)})
    except OSError:
        return


def fastest(candidates: Sequence[int], cost: Callable[[int], float], *, seconds: float = _SECONDS) -> int:
    """Return the first candidate with about the lowest cost; start no measurement after `seconds`."""
    began = time.monotonic()
    costs: dict[int, float] = {}
    for candidate in candidates:
        if costs and time.monotonic() - began > seconds:
            break
        costs[candidate] = cost(candidate)
    least = min(costs.values())
    return next(candidate for candidate, spent in costs.items() if spent <= least * _TOLERANCE)
