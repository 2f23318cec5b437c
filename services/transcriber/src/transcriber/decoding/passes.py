"""Windows through the engine, without what nobody said, and what it left out once more: sound that has no words.

The model sometimes skips a sentence, most often where the voice changes, and says only once what is said several times.
Such a hole is decoded again by itself, if the voice detector finds speech in it. What is found depends on the window
alone, like everything else about it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.engines.base import Window, WindowResult, Word
from transcriber.speech.detector import FRAME, heard

from .word_filter import FAINT, Probabilities, believed, is_clear, speech_near, without_noises
from .word_times import pauses, settle

_LONGEST: Final = 1.4  # seconds of sound without a word that are no breath and no stretched vowel
_SURE: Final = -0.8  # mean log probability from which on the second hearing is believed
_LONGEST_WORD: Final = 2.0  # seconds of speech that are no single word: alignment gives a word what the model left out
_EDGE: Final = 0.2  # seconds of a hole that may sound of the word beside it
_ROUNDS: Final = 10  # of second hearings: each may find the first of several sentences only


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch of a window, in seconds, before its word number `before`, or inside that word, which lasts too long."""

    start: float
    end: float
    before: int
    inside: bool = False


async def hear(
    decode: Callable[[Sequence[Window]], Awaitable[list[WindowResult]]], windows: Sequence[Window]
) -> list[WindowResult]:
    """Decode windows, leave out what nobody said and fill the holes; `decode` gives one result per window, in order."""
    said = [_Said(window, result) for window, result in zip(windows, await decode(windows), strict=True)]
    noisy = [(each, quieted) for each in said if (quieted := await each.believe()) is not None]
    if noisy:
        for (each, _), result in zip(noisy, await decode([window for _, window in noisy]), strict=True):
            each.replace(result)
    for _ in range(_ROUNDS):
        missed = [(each, hole) for each in said for hole in await each.missed()]
        if not missed:
            break
        again = await decode([each.piece(hole) for each, hole in missed])
        for each in said:
            each.open = []
        # From the last to the first, so that a word found does not move the place of the next.
        for (each, hole), found in reversed(list(zip(missed, again, strict=True))):
            each.fill(hole, found)
    return [each.result for each in said]


class _Said:
    """A window and what it says, as far as that is known."""

    def __init__(self, window: Window, result: WindowResult) -> None:
        self.result = result
        self.open = [(0.0, len(window) / SAMPLE_RATE)]
        """Stretches in which holes are still looked for."""
        self._window = window
        self._probabilities: Probabilities | None = None

    async def believe(self) -> Window | None:
        """Leave out what nobody said; give the window without its noises, if speech in it may be clearer so."""
        if is_clear(self.result, len(self._window) / SAMPLE_RATE):
            return None
        speech = await self._speech()
        self.result = believed(self.result, speech)
        return without_noises(self._window, speech)

    def replace(self, result: WindowResult) -> None:
        """Take the text of the window without its noises, if the model is surer of it."""
        assert self._probabilities is not None
        clearer = believed(result, self._probabilities)
        if clearer.text and (not self.result.text or clearer.avg_logprob >= self.result.avg_logprob):
            self.result = clearer

    async def missed(self) -> list[Hole]:
        """The holes, within the stretches that are open, in which somebody speaks."""
        if not self.open:
            return []
        found = [
            hole
            for hole in holes(self._window, self.result.words)
            if any(start < (hole.start + hole.end) / 2 < end for start, end in self.open)
        ]
        if not found:
            return []
        speech = await self._speech()
        return [hole for hole in found if _is_spoken(hole, speech)]

    def piece(self, hole: Hole) -> Window:
        """The sound of a hole."""
        return self._window[round(hole.start * SAMPLE_RATE) : round(hole.end * SAMPLE_RATE)]

    def fill(self, hole: Hole, found: WindowResult) -> None:
        """Put what was found in a hole into its place, if it is believed; then look there once more."""
        assert self._probabilities is not None
        first = round(hole.start * SAMPLE_RATE / FRAME)
        last = round(hole.end * SAMPLE_RATE / FRAME)
        whole = filled(self.result, hole, believed(found, self._probabilities[first:last]))
        if whole is not self.result:
            self.result = whole
            self.open.append((hole.start, hole.end))

    async def _speech(self) -> Probabilities:
        if self._probabilities is None:
            self._probabilities = await asyncio.to_thread(heard, self._window)
        return self._probabilities


def holes(window: Window, words: Sequence[Word]) -> list[Hole]:
    """Find the stretches where something sounds and no word is; none where no word was aligned at all."""
    if not words:
        return []
    silent = pauses(window)
    placed = settle(words, window)
    edges = [0.0, *(moment for word in placed for moment in (word.start, word.end)), len(window) / SAMPLE_RATE]
    gaps = (Hole(start, end, index) for index, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=True)))
    long = (
        Hole(word.start, word.end, index, inside=True)
        for index, word in enumerate(placed)
        if word.end - word.start >= _LONGEST_WORD
    )
    return sorted(
        (hole for hole in (*gaps, *long) if _sounding(hole, silent) >= _LONGEST),
        key=lambda hole: (hole.start, hole.end),
    )


def filled(result: WindowResult, hole: Hole, found: WindowResult) -> WindowResult:
    """Put what was found in a hole into its place, if the model was sure of it."""
    before, after = result.words[: hole.before], result.words[hole.before :]
    new = list(found.words)
    # The words next to a hole may have been placed on its other side, and are heard again then.
    if new and after and _same(new[-1], after[0]):
        new.pop()
    if new and before and _same(new[0], before[-1]):
        del new[0]
    if not new or found.avg_logprob < _SURE:
        return result
    # A word that ended there begins after what was found.
    if hole.inside and after:
        begin = max(after[0].start, new[-1].end + hole.start)
        after = (replace(after[0], start=begin, end=max(begin, after[0].end)), *after[1:])
    moved = [replace(word, start=word.start + hole.start, end=word.end + hole.start) for word in new]
    words = (*before, *moved, *after)
    return replace(result, words=words, text="".join(word.word for word in words).strip())


def _same(one: Word, other: Word) -> bool:
    plain = ["".join(letter for letter in word.word.lower() if letter.isalnum()) for word in (one, other)]
    return plain[0] == plain[1]


def _is_spoken(hole: Hole, speech: Probabilities) -> bool:
    """Whether somebody speaks in a hole; in a word that lasts too long, more than the word itself."""
    if hole.inside:
        first, last = round(hole.start * SAMPLE_RATE / FRAME), round(hole.end * SAMPLE_RATE / FRAME)
        return int((speech[first:last] >= FAINT).sum()) * FRAME / SAMPLE_RATE >= _LONGEST_WORD
    return speech_near(speech, hole.start + _EDGE, hole.end - _EDGE) >= FAINT


def _sounding(hole: Hole, silent: Sequence[tuple[float, float]]) -> float:
    quiet = sum(max(0.0, min(hole.end, end) - max(hole.start, start)) for start, end in silent)
    return hole.end - hole.start - quiet
