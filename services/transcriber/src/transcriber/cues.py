"""From segments to what a subtitle shows: in one or two lines, long enough to be read, with a gap before the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from .segments import LINE_WIDTH, columns, ends_clause

READING_SPEED: Final = 20.0  # columns a second, two for each East Asian character
SHORTEST: Final = 0.8  # seconds that a cue is shown where there is time
GAP: Final = 0.08  # seconds without text between two cues, so that the change is seen: two frames of a film
_LONGEST_CUT: Final = 0.25  # share of a cue that the gap may take from it


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown from `start` to `end`, in seconds of the recording."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(segments: Sequence[dict[str, Any]]) -> Iterator[Cue]:
    """Show each segment while it is spoken, and longer where it takes longer to read and nobody else speaks."""
    starts = [segment["start"] for segment in segments[1:]]
    for segment, following in zip(segments, [*starts, float("inf")], strict=False):
        text = " ".join(segment["text"].split())
        start, end = segment["start"], segment["end"]
        wanted = max(end, start + SHORTEST, start + columns(text) / READING_SPEED)
        least = end - (end - start) * _LONGEST_CUT
        yield Cue(start, round(max(least, min(wanted, following - GAP)), 3), lines(text))


def lines(text: str) -> tuple[str, ...]:
    """Break a text that is wider than a line in two, at a space (or anywhere, where there is none), near its middle."""
    total = columns(text)
    if total <= LINE_WIDTH:
        return (text,)
    spaces = [index for index, letter in enumerate(text) if letter == " "]
    breaks = spaces or [index for index, (_, after) in enumerate(pairwise(text), 1) if after.isalnum()]
    if not breaks:
        return (text,)
    at = min(breaks, key=lambda index: _cost(text, index, total))
    return text[:at].rstrip(), text[at:].lstrip()


def _cost(text: str, index: int, total: int) -> float:
    """How bad it is to break here: unequal lines, no breath, and worst a line that is too wide."""
    left = columns(text[:index])
    longer = max(left, total - left - 1)
    return abs(2 * left - total) / total - 0.2 * ends_clause(text[:index]) + max(0, longer - LINE_WIDTH)
