"""Small real programs for the supervisor's tests, written as rows of a fleet table."""

import asyncio
import os
import sys
from typing import Any

from native.programs import STATE_VARIABLE, Program
from native.state import StateFolder


def child(state: StateFolder, name: str, script: str = "stay()", **options: Any) -> Program:
    """A Python child whose script may call `ready()`, `note(word)` and `stay()`."""
    folder = state.folder("children")
    mark = folder / f"{name}.ready"
    prelude = f"""
import os, signal, sys, time
def note(word):
    with open({str(folder / "notes")!r}, "a") as notes:
        notes.write(f"{name} {{word}}\\n")
def ready():
    open({str(mark)!r}, "w").close()
def stay():
    note("started"); ready()
    def end(*_):
        note("stopped"); os.unlink({str(mark)!r}); sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    while True: time.sleep(0.05)
"""

    async def ready() -> bool:
        return await asyncio.to_thread(mark.exists)

    async def prepare() -> None:
        await asyncio.to_thread(mark.unlink, missing_ok=True)

    options.setdefault("ready", ready)
    options.setdefault("prepare", prepare)
    return Program(
        name=name,
        command=(sys.executable, "-I", "-S", "-c", prelude + script),
        env={"PATH": os.environ["PATH"], STATE_VARIABLE: str(state.path)},
        **options,
    )


def notes(state: StateFolder) -> list[str]:
    """What the children noted, in order."""
    path = state.folder("children") / "notes"
    return path.read_text().splitlines() if path.exists() else []
