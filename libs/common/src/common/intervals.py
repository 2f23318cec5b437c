"""Intervals of a recording, in seconds, put in order."""

from collections.abc import Iterable
from typing import Final

SHORTEST: Final = 0.02  # seconds: the length of an interval whose neighbours leave no time for it


def in_order(intervals: Iterable[tuple[float, float]], end_of_all: float | None) -> list[tuple[float, float]]:
    """Move intervals that overlap, go back in time or pass the end of the recording, where that is known.

    Afterwards each begins where the one before has ended, or later, and none ends before it begins.
    """
    ordered: list[tuple[float, float]] = []
    clock = 0.0
    for start, end in intervals:
        begins = max(start, clock)
        clock = max(end, begins + SHORTEST)
        ordered.append((begins, clock))
    latest = float("inf") if end_of_all is None else end_of_all
    for index, (start, end) in reversed(list(enumerate(ordered))):
        ends = min(end, latest)
        latest = max(0.0, min(start, ends - SHORTEST))
        ordered[index] = (round(latest, 3), round(ends, 3))
    return ordered
