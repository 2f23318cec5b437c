"""What is fastest on this machine and changes no text: measured once in seconds, remembered beside the models.

Only the number of threads and the batch are measured. The precision is not: it changes texts, so it follows from what
the processor can do, and not from a clock that others' work disturbs.
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

REMEMBERED = ".calibration.json"
_VERSION = 1
_SECONDS = 4.0
# What is this little slower is no worse.
_TOLERANCE = 1.03


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an engine uses its machine; a text never depends on it."""

    threads: int
    batch_windows: int


def machine(*versions: str) -> str:
    """Return the key of a measurement: the processor, its cores, and whatever versions are given."""
    try:
        processor = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        processor = None
    named = (str(_VERSION), processor[1] if processor else "", str(cores()), *versions)
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:32]


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def remembered(model_dir: Path, key: str) -> Tuning | None:
    """Return what an earlier start measured under this key."""
    try:
        return Tuning(**json.loads((model_dir / REMEMBERED).read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(model_dir: Path, key: str, tuning: Tuning) -> None:
    """Keep a measurement for the next start; where MODEL_DIR cannot be written, that one measures again."""
    try:
        content = json.loads((model_dir / REMEMBERED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = {}
    try:
        write_json(model_dir / REMEMBERED, {**content, key: asdict(tuning)})
    except OSError:
        return


def fastest(candidates: Sequence[int], cost: Callable[[int], float], *, seconds: float = _SECONDS) -> int:
    """Return the first candidate whose cost is about the least; begin no further measurement after `seconds`."""
    began = time.monotonic()
    costs: dict[int, float] = {}
    for candidate in candidates:
        if costs and time.monotonic() - began > seconds:
            break
        costs[candidate] = cost(candidate)
    least = min(costs.values())
    return next(candidate for candidate, spent in costs.items() if spent <= least * _TOLERANCE)
