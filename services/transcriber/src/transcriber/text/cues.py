"""From segments to what a subtitle shows: in one or two lines, long enough to be read, with a gap before the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .line_breaks import columns, lines

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


def cues(segments: Sequence[dict[str, Any]], duration: float) -> Iterator[Cue]:
    """Show each segment while it is spoken, and longer where it takes longer to read and nobody else speaks.

    No cue lasts longer than the recording, whose `duration` is in seconds.
    """
    starts = [segment["start"] for segment in segments[1:]]
    for segment, following in zip(segments, [*starts, duration + GAP], strict=False):
        text = " ".join(segment["text"].split())
        start, end = segment["start"], segment["end"]
        wanted = max(end, start + SHORTEST, start + columns(text) / READING_SPEED)
        least = end - (end - start) * _LONGEST_CUT
        yield Cue(start, round(max(least, min(wanted, following - GAP)), 3), lines(text))
