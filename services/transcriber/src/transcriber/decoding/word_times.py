"""Correct word times by the sound: the decoder's attention gives roughly where a word is, pauses give its edges.

Attention runs ahead of the sound and counts a pause to the word after it. So all times are moved by the usual lead, and
where there is a pause near an edge, the word before it ends and the next word begins at the edges of the pause.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.engines.base import Window, Word
from transcriber.text.line_breaks import ends_clause

_FRAME: Final = SAMPLE_RATE // 100
_FRAME_SECONDS: Final = _FRAME / SAMPLE_RATE
_AHEAD: Final = 0.06  # seconds by which attention is usually ahead
_BELOW_SPEECH: Final = 25.0  # dB under the loud frames around it: silence
_ABOVE_FLOOR: Final = 4.0  # dB above the quietest frames of the window: silence too
_SPEECH_ABOVE_FLOOR: Final = 10.0  # dB: otherwise the background is as loud as speech and no level separates them
_AROUND: Final = 150  # frames on either side that give the local level of speech
_SMOOTHED: Final = 5  # frames
_SHORTEST_PAUSE: Final = 8  # frames: the closure of a "t" is shorter
_REACH: Final = 0.3  # seconds between an edge and a pause that can belong to it
_LONG_PAUSE: Final = 0.5  # seconds: longer pauses do not count more
_APART: Final = 0.5  # seconds between two words that alignment itself separates
_SHORTEST_WORD: Final = 0.02
_LONGEST_MEDIAN_SECONDS: Final = 0.7

Pause = tuple[float, float]


@dataclass(slots=True)
class _Edge:
    """Where one word ends and the next begins: at a moment, or at the two ends of a pause near it."""

    moment: float
    pause: Pause | None = None
    gain: float = 0.0

    @property
    def before(self) -> float:
        """Where the word before the edge ends."""
        return self.pause[0] if self.pause else self.moment

    @property
    def after(self) -> float:
        """Where the word after the edge begins."""
        return self.pause[1] if self.pause else self.moment


def settle_times(words: Sequence[Word], window: Window) -> list[Word]:
    """Move the edges of words to the pauses near them; times are seconds of the window."""
    if not words:
        return []
    seconds = len(window) / SAMPLE_RATE
    silent = pauses(window)
    before = [(0.0, words[0].start), *((word.end, after.start) for word, after in pairwise(words))]
    edges = [_between(end, start, silent) for end, start in before]
    last = _edge(words[-1].end, silent)
    edges.append((last, last))
    for (_, begin), (end, _) in pairwise(edges):
        _separate(begin, end)
    settled: list[Word] = []
    clock = 0.0
    for word, (_, begin), (end, _) in zip(words, edges, edges[1:], strict=False):
        begins = min(max(begin.after, clock), seconds)
        clock = min(max(end.before, begins + _SHORTEST_WORD), seconds)
        settled.append(replace(word, start=begins, end=clock))
    return list(_shorten_stretched(settled))


def _shorten_stretched(words: Sequence[Word]) -> Iterator[Word]:
    """Shorten words that extend over a noisy pause, on the side of the pause."""
    lengths = [word.end - word.start for word in words]
    longest = 2 * min(_LONGEST_MEDIAN_SECONDS, statistics.median(lengths))
    after_stop = True
    for word in words:
        stop = ends_clause(word.word)
        if word.end - word.start <= longest:
            yield word
        elif after_stop:
            yield replace(word, start=word.end - longest)
        elif stop:
            yield replace(word, end=word.start + longest)
        else:
            yield word
        after_stop = stop


def _between(end: float, start: float, pauses: Sequence[Pause]) -> tuple[_Edge, _Edge]:
    """Find the end of a word and the start of the next one, which are usually the same moment in an alignment."""
    following = _edge(start, pauses)
    return (_edge(end, pauses), following) if start - end >= _APART else (following, following)


def _edge(moment: float, pauses: Sequence[Pause]) -> _Edge:
    """Find the edge for a moment of the alignment, at the best pause near it, if any."""
    edge = _Edge(moment + _AHEAD)
    for pause in pauses:
        distance = max(pause[0] - edge.moment, edge.moment - pause[1], 0.0)
        gain = min(pause[1] - pause[0], _LONG_PAUSE) - distance
        if distance <= _REACH and gain > edge.gain:
            edge.pause, edge.gain = pause, gain
    return edge


def _separate(begin: _Edge, end: _Edge) -> None:
    """Assign a pause that both edges of a short word have found to the one with the higher gain."""
    if begin.pause is not None and begin.pause == end.pause:
        loser = end if begin.gain > end.gain else begin
        loser.pause, loser.gain = None, 0.0


def pauses(window: Window) -> list[Pause]:
    """Find the stretches of the window without speech, as (start, end) in seconds."""
    count = len(window) // _FRAME
    if count < _SMOOTHED:
        return []
    frames = window[: count * _FRAME].reshape(count, _FRAME)
    levels = 10 * np.log10(np.maximum(np.mean(np.square(frames), axis=1), 1e-10))
    smooth = np.convolve(levels, np.ones(_SMOOTHED) / _SMOOTHED, mode="same")
    floor = float(np.percentile(levels, 3))
    loudest = _loudest_around(smooth)
    silent = (levels < loudest - _BELOW_SPEECH) | (
        (levels < floor + _ABOVE_FLOOR) & (loudest > floor + _SPEECH_ABOVE_FLOOR)
    )
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]]).astype(np.int8)))
    runs = [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
    return [(a * _FRAME_SECONDS, b * _FRAME_SECONDS) for a, b in runs if b - a >= _SHORTEST_PAUSE]


def _loudest_around(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(levels, _AROUND, constant_values=-200.0)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1).max(axis=1))
