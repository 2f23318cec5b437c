"""A day of silence in a few hundred kilobytes, through the whole platform: time, memory, and delay of other jobs."""

import argparse
import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from support import hostile_media, marked
from support.chaos import Platform

from .report import provenance, table, write_section
from .soak import PAGE, platform_of_its_own

MIB = 1024 * 1024
SAMPLE_SECONDS = 0.3
ENDED = ("completed", "failed", "cancelled")


class Memory(threading.Thread):
    """Samples all descendant processes, and keeps the peak resident memory of each kind."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most: defaultdict[str, int] = defaultdict(int)
        self._over = threading.Event()

    def run(self) -> None:
        """Sample until `stop`."""
        while not self._over.wait(SAMPLE_SECONDS):
            for process in _below(Path("/proc/self").resolve().name):
                kind, peak = _kind_and_peak(process)
                self.most[kind] = max(self.most[kind], peak)

    def stop(self) -> None:
        """Stop sampling."""
        self._over.set()


def main() -> int:
    """Send the silence and a short recording; print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.silence", description=__doc__)
    parser.add_argument("--hours", type=float, default=23.99)
    parser.add_argument("--record", action="store_true", help="write the figures into docs/reliability.md")
    wanted = parser.parse_args()
    with platform_of_its_own("canned") as platform:
        memory = Memory()
        memory.start()
        figures = measured(platform, wanted.hours)
        memory.stop()
    figures |= {f"most memory of {kind}, MiB": round(peak / MIB) for kind, peak in sorted(memory.most.items())}
    print(json.dumps(figures, indent=2))
    if wanted.record:
        command = f"PYTHONPATH=tests python -m bench.silence --hours {wanted.hours:g}"
        rows = list(figures.items())
        write_section("silence", f"{table(['figure', 'measured'], rows)}\n\n{provenance(command)}", page=PAGE)
    return 0 if figures["result"] == "completed, no_speech" else 1


def measured(platform: Platform, hours: float) -> dict[str, Any]:
    """The results of a job with hours of silence, and of a recording that was sent after it."""
    bomb = hostile_media.silent_flac(hours)
    began = time.monotonic()
    silent = platform.user.submit("silence.flac", bomb)
    other = platform.user.submit("other.flac", marked.brief().content)
    waited: float | None = None
    while (job := platform.user.job(silent))["state"] not in ENDED:
        if waited is None and platform.user.job(other)["state"] in ENDED:
            waited = time.monotonic() - began
        time.sleep(SAMPLE_SECONDS)
    took = time.monotonic() - began
    return {
        "hours of silence": hours,
        "bytes sent": len(bomb),
        "result": f"{job['state']}, {job['reason_code']}",
        "attempts": job["attempt"],
        "seconds until its end": round(took),
        "seconds until the end of a recording sent after it": None if waited is None else round(waited, 1),
    }


def _below(root: str) -> list[Path]:
    """All descendants of a process."""
    children: defaultdict[str, list[str]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        children[parent].append(stat.parent.name)
    found, waiting = [], [root]
    while waiting:
        below = children[waiting.pop()]
        found += below
        waiting += below
    return [Path("/proc") / pid for pid in found]


def _kind_and_peak(process: Path) -> tuple[str, int]:
    """The kind of a process, and its peak resident memory in bytes, 0 if it has ended."""
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        status = (process / "status").read_text().splitlines()
    except OSError:
        return "the three servers", 0
    kind = words[words.index(b"-m") + 1].decode() if b"-m" in words else "the three servers"
    peak = next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), 0)
    return kind, peak


if __name__ == "__main__":
    sys.exit(main())
