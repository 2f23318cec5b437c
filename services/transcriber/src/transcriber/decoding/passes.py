"""Decode windows in passes: filter words without speech, decode again without noise, re-decode gaps that have speech.

The model sometimes skips a sentence, most often where the speaker changes, and writes repeated words only once. Such a
gap is decoded again by itself if the voice detector finds speech in it. The result depends on the window alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.engines.base import Window, WindowResult, Word
from transcriber.speech.detector import FRAME, speech_probabilities

from .word_filter import FAINT_SPEECH, Probabilities, keep_spoken_words, needs_no_check, silence_noises, speech_near
from .word_times import pauses, settle_times

_SHORTEST_GAP: Final = 1.4  # seconds of sound without a word; shorter is a breath or a stretched vowel
_MIN_LOGPROB: Final = -0.8  # mean log probability from which on the text of a gap is accepted
_LONGEST_WORD: Final = 2.0  # seconds of speech; a longer word covers text that the model left out
_EDGE: Final = 0.2  # seconds at each end of a gap that may belong to the neighbouring word
_MAX_PASSES: Final = 10  # over the gaps: each pass may find only the first of several sentences


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a window in seconds before word number `before`, or inside that word if it lasts too long."""

    start: float
    end: float
    before: int
    inside: bool = False


async def decode_in_passes(
    decode: Callable[[Sequence[Window]], Awaitable[list[WindowResult]]], windows: Sequence[Window]
) -> list[WindowResult]:
    """Decode windows, drop words without speech and fill the gaps; `decode` gives one result per window, in order."""
    texts = [_WindowText(window, result) for window, result in zip(windows, await decode(windows), strict=True)]
    noisy = [(text, quiet) for text in texts if (quiet := await text.filter_words()) is not None]
    if noisy:
        for (text, _), result in zip(noisy, await decode([quiet for _, quiet in noisy]), strict=True):
            text.replace_if_better(result)
    for _ in range(_MAX_PASSES):
        missed = [(text, gap) for text in texts for gap in await text.gaps_with_speech()]
        if not missed:
            break
        results = await decode([text.audio(gap) for text, gap in missed])
        for text in texts:
            text.unchecked = []
        # From the last to the first, so that inserted words do not change the index of the next gap.
        for (text, gap), result in reversed(list(zip(missed, results, strict=True))):
            text.fill(gap, result)
    return [text.result for text in texts]


class _WindowText:
    """A window and its result so far."""

    def __init__(self, window: Window, result: WindowResult) -> None:
        self.result = result
        self.unchecked = [(0.0, len(window) / SAMPLE_RATE)]
        """Stretches that are still to be searched for gaps."""
        self._window = window
        self._probabilities: Probabilities | None = None

    async def filter_words(self) -> Window | None:
        """Drop words without speech; return the window with its noises silenced if it has speech beside noise."""
        if needs_no_check(self.result, len(self._window) / SAMPLE_RATE):
            return None
        speech = await self._speech()
        self.result = keep_spoken_words(self.result, speech)
        return silence_noises(self._window, speech)

    def replace_if_better(self, result: WindowResult) -> None:
        """Take the result of the window without noises if the model is more certain of it."""
        assert self._probabilities is not None
        candidate = keep_spoken_words(result, self._probabilities)
        if candidate.text and (not self.result.text or candidate.avg_logprob >= self.result.avg_logprob):
            self.result = candidate

    async def gaps_with_speech(self) -> list[Gap]:
        """Find the gaps in the unchecked stretches that have speech."""
        if not self.unchecked:
            return []
        found = [
            gap
            for gap in find_gaps(self._window, self.result.words)
            if any(start < (gap.start + gap.end) / 2 < end for start, end in self.unchecked)
        ]
        if not found:
            return []
        speech = await self._speech()
        return [gap for gap in found if _has_speech(gap, speech)]

    def audio(self, gap: Gap) -> Window:
        """Cut out the audio of a gap."""
        return self._window[round(gap.start * SAMPLE_RATE) : round(gap.end * SAMPLE_RATE)]

    def fill(self, gap: Gap, result: WindowResult) -> None:
        """Insert the words of a gap that have speech, and mark the gap to be searched once more."""
        assert self._probabilities is not None
        first = round(gap.start * SAMPLE_RATE / FRAME)
        last = round(gap.end * SAMPLE_RATE / FRAME)
        filled = fill_gap(self.result, gap, keep_spoken_words(result, self._probabilities[first:last]))
        if filled is not self.result:
            self.result = filled
            self.unchecked.append((gap.start, gap.end))

    async def _speech(self) -> Probabilities:
        if self._probabilities is None:
            self._probabilities = await asyncio.to_thread(speech_probabilities, self._window)
        return self._probabilities


def find_gaps(window: Window, words: Sequence[Word]) -> list[Gap]:
    """Find the stretches that have sound but no word; none if no word was aligned."""
    if not words:
        return []
    silent = pauses(window)
    placed = settle_times(words, window)
    edges = [0.0, *(moment for word in placed for moment in (word.start, word.end)), len(window) / SAMPLE_RATE]
    between = (Gap(start, end, index) for index, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=True)))
    inside = (
        Gap(word.start, word.end, index, inside=True)
        for index, word in enumerate(placed)
        if word.end - word.start >= _LONGEST_WORD
    )
    return sorted(
        (gap for gap in (*between, *inside) if _sound_seconds(gap, silent) >= _SHORTEST_GAP),
        key=lambda gap: (gap.start, gap.end),
    )


def fill_gap(result: WindowResult, gap: Gap, found: WindowResult) -> WindowResult:
    """Insert the words found in a gap, unless the model is uncertain of them."""
    before, after = result.words[: gap.before], result.words[gap.before :]
    new = list(found.words)
    # The words beside a gap may have been placed on its other side, and are decoded again then.
    if new and after and _is_same(new[-1], after[0]):
        new.pop()
    if new and before and _is_same(new[0], before[-1]):
        del new[0]
    if not new or found.avg_logprob < _MIN_LOGPROB:
        return result
    # A word around the gap begins after the inserted words.
    if gap.inside and after:
        begin = max(after[0].start, new[-1].end + gap.start)
        after = (replace(after[0], start=begin, end=max(begin, after[0].end)), *after[1:])
    moved = [replace(word, start=word.start + gap.start, end=word.end + gap.start) for word in new]
    words = (*before, *moved, *after)
    return replace(result, words=words, text="".join(word.word for word in words).strip())


def _is_same(one: Word, other: Word) -> bool:
    plain = ["".join(letter for letter in word.word.lower() if letter.isalnum()) for word in (one, other)]
    return plain[0] == plain[1]


def _has_speech(gap: Gap, speech: Probabilities) -> bool:
    """Whether a gap has speech; inside a word that lasts too long, more than the word itself needs."""
    if gap.inside:
        first, last = round(gap.start * SAMPLE_RATE / FRAME), round(gap.end * SAMPLE_RATE / FRAME)
        return int((speech[first:last] >= FAINT_SPEECH).sum()) * FRAME / SAMPLE_RATE >= _LONGEST_WORD
    return speech_near(speech, gap.start + _EDGE, gap.end - _EDGE) >= FAINT_SPEECH


def _sound_seconds(gap: Gap, silent: Sequence[tuple[float, float]]) -> float:
    quiet = sum(max(0.0, min(gap.end, end) - max(gap.start, start)) for start, end in silent)
    return gap.end - gap.start - quiet
