"""Subtitle cues from segments: one or two lines, shown long enough to be read, with a gap before the next cue."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .line_breaks import columns, wrap

READING_SPEED: Final = 20.0  # columns a second, two for each East Asian character
SHORTEST: Final = 0.8  # seconds that a cue is shown if the next one permits it
GAP: Final = 0.08  # seconds between two cues, so that the change is visible: two frames of a film
_LONGEST_CUT: Final = 0.25  # share of a cue by which the gap may shorten it


@dataclass(frozen=True, slots=True)
class Cue:
    """The lines shown from `start` to `end`, in seconds of the recording."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(segments: Sequence[dict[str, Any]], duration: float) -> Iterator[Cue]:
    """Show each segment while it is spoken, and longer if reading takes longer and the next segment permits it.

    No cue ends after the recording, whose `duration` is in seconds.
    """
    starts = [segment["start"] for segment in segments[1:]]
    for segment, following in zip(segments, [*starts, duration + GAP], strict=False):
        text = " ".join(segment["text"].split())
        start, end = segment["start"], segment["end"]
        wanted = max(end, start + SHORTEST, start + columns(text) / READING_SPEED)
        least = end - (end - start) * _LONGEST_CUT
        yield Cue(start, round(max(least, min(wanted, following - GAP)), 3), wrap(text))
