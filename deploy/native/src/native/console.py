"""What the terminal shows: prefixed lines, the programs' own output as it appears, and small tables."""

import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .state import StateFolder

FOLLOW_SECONDS = 0.15
_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
_SUPERVISOR_COLOUR = 90


class Console:
    """Prints lines with the name of their program, coloured on a terminal."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max((len(name) for name in names), default=0)
        self._colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def say(self, name: str, text: str) -> None:
        """A line of the supervisor about a program."""
        self._line(name, text, about=True)

    def output(self, name: str, text: str) -> None:
        """A line that a program printed itself."""
        self._line(name, text, about=False)

    def _line(self, name: str, text: str, *, about: bool) -> None:
        mark = "»" if about else "│"
        prefix = f"{name:<{self._width}} {mark}"
        if self._coloured:
            prefix = f"\033[{self._colours.get(name, _SUPERVISOR_COLOUR)}m{prefix}\033[0m"
            text = f"\033[1m{text}\033[0m" if about else text
        print(prefix, text, flush=True)


async def follow(state: StateFolder, names: Iterable[str], console: Console) -> None:
    """Print what the programs write to their log files from now on; runs until cancelled."""
    tails = {name: Tail(state.log(name)) for name in names}
    try:
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            _print_new(tails, console)
    finally:
        _print_new(tails, console)


def _print_new(tails: "dict[str, Tail]", console: Console) -> None:
    for name, tail in tails.items():
        for line in tail.read_lines():
            console.output(name, line)


class Tail:
    """The lines that are added to a file after this object was made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def read_lines(self) -> list[str]:
        """Whole new lines since the last call; the file may have been replaced by a shorter one."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return []
        if size < self._position:
            self._position = 0
        if size == self._position:
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            content = file.read(size - self._position)
        self._position = size
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [line.decode(errors="replace").rstrip() for line in lines]


def aligned(rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Rows of cells as text in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)
