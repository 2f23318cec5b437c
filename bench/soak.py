"""Random faults against a stream of jobs: `make soak SECONDS=600 SEED=7`; status 1 when an invariant breaks."""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from support.chaos import Platform, faulty_platform
from support.soak import Report, Soak, learn_undisturbed

from .report import ROOT, provenance, table, write_section

PAGE = ROOT / "docs" / "reliability.md"


def main() -> int:
    """Run a soak on a separate platform, and print its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--engine", default="canned", choices=["canned", "ctranslate2", "openai-whisper"])
    parser.add_argument("--record", action="store_true", help="write the figures into docs/reliability.md")
    wanted = parser.parse_args()
    print(f"seed {wanted.seed}, engine {wanted.engine}, {wanted.seconds:g} s")
    report = run(wanted.seconds, wanted.seed, wanted.engine)
    print(json.dumps(report.document(), indent=2))
    for sentence in report.broken:
        print(sentence, file=sys.stderr)
    if wanted.record:
        record(report, wanted.seconds)
    return 1 if report.broken else 0


def run(seconds: float, seed: int, engine: str) -> Report:
    """Run a soak on a separate platform, which is deleted afterwards."""
    with platform_of_its_own(engine) as platform:
        learn_undisturbed(platform)
        return asyncio.run(Soak(platform, seed=seed, engine=engine, say=partial(print, flush=True)).run(seconds))


@contextlib.contextmanager
def platform_of_its_own(engine: str) -> Iterator[Platform]:
    """A platform for fault injection with this engine, in a folder that is deleted afterwards."""
    state = ROOT / ".verbatim"
    state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=state) as name:
        folder = Path(name)
        folder.chmod(0o711)  # the database runs as another user, who needs to traverse the folder
        with faulty_platform(folder / "fleet", extra={"transcriber": {"ENGINE": engine}}) as platform:
            yield platform


def record(report: Report, seconds: float) -> None:
    """Write the figures into docs/reliability.md."""
    figures = report.document()
    injections = figures.pop("injections")
    figures["injections"] = f"{sum(injections.values())}: " + ", ".join(f"{n} {kind}" for kind, n in injections.items())
    rows = [(name.replace("_", " "), value) for name, value in figures.items()]
    command = f"make soak SECONDS={seconds:g} SEED={report.seed} ENGINE={report.engine}"
    section = f"{table(['figure', 'measured'], rows)}\n\n{provenance(command)}"
    write_section(f"soak-{report.engine}", section, page=PAGE)


if __name__ == "__main__":
    sys.exit(main())
