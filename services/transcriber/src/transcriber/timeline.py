"""From times inside a window to times in the recording, through the spans that the window is packed from."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from .engines.base import Segment, WindowResult, Word

SPLIT_GAP: Final = 1.5  # seconds of the recording between two words that do not belong into one caption


class Timeline:
    """One window's spans, as in the chunk's meta."""

    def __init__(self, window: dict[str, Any]) -> None:
        self._index: int = window["index"]
        self._spans: list[dict[str, float]] = window["spans"]
        self._offsets = [span["offset"] for span in self._spans]

    def document(self, result: WindowResult) -> dict[str, Any]:
        """A window's part of the result document: times in seconds of the recording, numbers rounded."""
        return {
            "index": self._index,
            "text": result.text.strip(),
            "avg_logprob": round(result.avg_logprob, 4),
            "no_speech_prob": round(result.no_speech_prob, 4),
            "segments": [piece for segment in result.segments for piece in self._pieces(segment)],
        }

    def _pieces(self, segment: Segment) -> Iterator[dict[str, Any]]:
        """Give a segment in the recording's time, in pieces where a long silence was taken out of its middle."""
        if not segment.words:
            start, end = self._interval(segment.start, segment.end)
            yield {"start": start, "end": end, "text": segment.text.strip(), "words": []}
            return
        words = [self._word(word) for word in segment.words]
        for piece in _split(words):
            text = "".join(word["word"] for word in piece).strip()
            whole = len(piece) == len(words)
            yield {
                "start": piece[0]["start"],
                "end": piece[-1]["end"],
                "text": segment.text.strip() if whole else text,
                "words": piece,
            }

    def _word(self, word: Word) -> dict[str, Any]:
        start, end = self._interval(word.start, word.end)
        return {"start": start, "end": end, "word": word.word, "probability": round(word.probability, 4)}

    def _interval(self, start: float, end: float) -> tuple[float, float]:
        """Map an interval into the span that holds its middle: nothing is spoken across a silence we took out."""
        span = self._spans[max(0, bisect_right(self._offsets, (start + end) / 2) - 1)]
        shift = span["source_start"] - span["offset"]
        first, last = span["source_start"], span["source_end"]
        return round(min(max(start + shift, first), last), 3), round(min(max(end + shift, first), last), 3)


def _split(words: Sequence[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    pieces = [[words[0]]]
    for before, word in pairwise(words):
        if word["start"] - before["end"] > SPLIT_GAP:
            pieces.append([])
        pieces[-1].append(word)
    return pieces
