"""Spans of speech from a probability per frame: hysteresis, a maximum length, and padding."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.pcm import SAMPLE_RATE

from .detector import FRAME

SPEECH: Final = 0.5  # probability at which speech begins
SILENCE: Final = 0.35  # probability below which it ends, if that lasts
MIN_SILENCE: Final = 5  # frames (160 ms) of silence that end a span
MIN_PAUSE: Final = 3  # frames (96 ms) of silence in which a span that is too long may be cut
PADDING: Final = int(0.4 * SAMPLE_RATE)  # samples of silence kept on either side of a span
LONGEST: Final = (30 * SAMPLE_RATE - 2 * PADDING) // FRAME  # frames of one span, so that it fits a window when padded
SMOOTHING: Final = 3  # frames over which the level is averaged to find the quietest point
OVERLAP: Final = 31  # frames (1 s) on either side of a cut inside speech that both spans have
SHARED: Final = 2 * OVERLAP * FRAME  # samples that both spans have


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the recording, in samples; `forced` when its end was cut inside speech.

    `shared` samples at its beginning are also the end of the span before it: the cut lies in their middle.
    """

    start: int
    end: int
    forced: bool = False
    shared: int = 0

    @property
    def length(self) -> int:
        """The number of samples."""
        return self.end - self.start


class SpeechTracker:
    """Finds the spans of speech of a recording frame by frame, each as soon as it is certain.

    Spans are in order, overlap only where speech is cut, and none is longer than a window. Memory is bounded by the
    longest span.
    """

    def __init__(self) -> None:
        self._frame = 0  # frames seen
        self._start: int | None = None  # the first frame of the current span
        self._quiet = 0  # silent frames at its end, so far
        self._seen: list[tuple[float, float]] = []  # (probability, level) of the frames since its start
        self._padder = _Padder()

    @property
    def settled(self) -> int:
        """The sample before which no future span can begin."""
        certain = (self._frame if self._start is None else self._start) * FRAME
        return self._padder.settled(certain)

    def feed(self, probabilities: NDArray[np.float32], levels: NDArray[np.float32]) -> Iterator[Span]:
        """Take one probability and one level per frame, yield the spans that are complete."""
        for probability, level in zip(probabilities.tolist(), levels.tolist(), strict=True):
            if self._start is None and probability >= SPEECH:
                self._start, self._quiet, self._seen = self._frame, 0, []
            self._frame += 1
            if self._start is None:
                yield from self._padder.silent_until(self._frame * FRAME)
            else:
                yield from self._advance(self._start, probability, level)

    def finish(self, samples: int) -> Iterator[Span]:
        """Yield the rest when the recording ends after `samples` samples."""
        if self._start is not None:
            yield from self._padder.push(self._start * FRAME, min(samples, (self._frame - self._quiet) * FRAME))
        yield from self._padder.finish(samples)

    def _advance(self, start: int, probability: float, level: float) -> Iterator[Span]:
        self._seen.append((probability, level))
        silent = probability < SILENCE or (self._quiet > 0 and probability < SPEECH)
        self._quiet = self._quiet + 1 if silent else 0
        if self._quiet >= MIN_SILENCE:
            yield from self._padder.push(start * FRAME, (self._frame - self._quiet) * FRAME)
            self._start = None
        elif len(self._seen) >= LONGEST:
            at, forced = _cut(self._seen)
            overlap = OVERLAP if forced else 0
            yield from self._padder.push(start * FRAME, (start + at + overlap) * FRAME, forced=forced)
            self._start, self._seen = start + at - overlap, self._seen[at - overlap :]
            self._quiet = min(self._quiet, len(self._seen))


def _cut(seen: list[tuple[float, float]]) -> tuple[int, bool]:
    """Choose where to cut a span that is too long: the frame, and whether speech is cut there.

    It is the last pause in the second half, else the quietest point of that half that leaves padding for the overlap.
    """
    first = len(seen) // 2
    probabilities = np.array([probability for probability, _ in seen[first:]])
    pause = 0
    for index in range(len(probabilities) - 1, -1, -1):
        pause = pause + 1 if probabilities[index] < SILENCE else 0
        if pause == MIN_PAUSE:
            return first + index + MIN_PAUSE // 2 + 1, False
    levels = np.array([level for _, level in seen[first : len(seen) - OVERLAP]])
    smooth = np.convolve(levels, np.ones(SMOOTHING) / SMOOTHING, mode="valid")
    return first + int(np.argmin(smooth)) + SMOOTHING // 2, True


class _Padder:
    """Extends spans into the silence around them: by 0.4 s, or half the gap between two close spans."""

    def __init__(self) -> None:
        self._waiting: Span | None = None  # a span whose end is not padded yet
        self._edge = 0  # the end of the last span given

    def settled(self, certain: int) -> int:
        if self._waiting is not None:
            return self._waiting.start
        return max(self._edge, certain - PADDING)

    def push(self, start: int, end: int, *, forced: bool = False) -> Iterator[Span]:
        if end <= start:
            return
        padding, shared = PADDING, 0
        if self._waiting is not None:
            # A span that follows a cut inside speech begins before the end of the one before it.
            shared = max(0, self._waiting.end - start)
            padding = max(0, min(PADDING, (start - self._waiting.end) // 2))
            yield self._release(padding)
        self._waiting = Span(max(self._edge - shared, start - padding), end, forced, shared)

    def silent_until(self, position: int) -> Iterator[Span]:
        if self._waiting is not None and position >= self._waiting.end + 2 * PADDING:
            yield self._release(PADDING)

    def finish(self, samples: int) -> Iterator[Span]:
        if self._waiting is not None:
            yield self._release(min(PADDING, samples - self._waiting.end))

    def _release(self, padding: int) -> Span:
        assert self._waiting is not None
        span = replace(self._waiting, end=self._waiting.end + padding)
        self._waiting, self._edge = None, span.end
        return span
