"""Map a window's words to segments of the recording, by the spans that the window was packed from.

Where speech was cut, two windows share a stretch of it: the words before its middle belong to the left window, those
after it to the right one. The middle of a word decides, because it is more reliable than the word's edges.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.engines.base import Window, WindowResult, Word

from . import segments, word_times


class Timeline:
    """Maps the times of one window, described in the chunk's meta, to the recording."""

    def __init__(self, window: dict[str, Any]) -> None:
        self._index: int = window["index"]
        self._spans: list[dict[str, float]] = window["spans"]
        self._offsets = [span["offset"] for span in self._spans]
        # Absent where the window shares no stretch, and in plans of older versions.
        self._from: float | None = window.get("words_from")
        self._until: float | None = window.get("words_until")

    def document(self, result: WindowResult, audio: Window) -> dict[str, Any]:
        """Build the window's part of the result document: times in seconds of the recording, rounded."""
        placed = [self._placed(word) for word in word_times.settle_times(result.words, audio)]
        words = [word for word in placed if self._belongs_here(word)]
        text = result.text if len(words) == len(placed) else "".join(word.word for word in words)
        return {
            "index": self._index,
            "language": result.language,
            "text": text.strip(),
            "avg_logprob": round(result.avg_logprob, 4),
            "no_speech_prob": round(result.no_speech_prob, 4),
            "segments": list(self._segments(result, words, audio)),
        }

    def _belongs_here(self, word: Word) -> bool:
        middle = (word.start + word.end) / 2
        return (self._from is None or middle >= self._from) and (self._until is None or middle < self._until)

    def _segments(self, result: WindowResult, words: list[Word], audio: Window) -> Iterator[dict[str, Any]]:
        if result.text and not result.words:
            # Without word times, the text spans its window.
            words = [self._placed(Word(0.0, len(audio) / SAMPLE_RATE, result.text.strip(), 0.0))]
        for group in segments.split(words, result.text_language):
            yield {
                "start": round(group[0].start, 3),
                "end": round(group[-1].end, 3),
                "text": "".join(word.word for word in group).strip(),
                "words": [asdict(word) for word in group] if result.words else [],
            }

    def _placed(self, word: Word) -> Word:
        start, end = self._interval(word.start, word.end)
        return Word(start, end, word.word, round(word.probability, 4))

    def _interval(self, start: float, end: float) -> tuple[float, float]:
        """Map an interval into the span that holds its middle: no word extends over a silence that was removed."""
        span = self._spans[max(0, bisect_right(self._offsets, (start + end) / 2) - 1)]
        shift = span["source_start"] - span["offset"]
        first, last = span["source_start"], span["source_end"]
        return round(min(max(start + shift, first), last), 3), round(min(max(end + shift, first), last), 3)
