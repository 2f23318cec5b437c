"""Windows through the engine, and what it passed over once more: sound between two words that has none of its own.

The model sometimes skips a sentence, most often where the voice changes. Such a hole is decoded again by itself. What
is found depends on the window alone, like everything else about it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .engines.base import SAMPLE_RATE, Window, WindowResult, Word
from .word_times import pauses, settle

_LONGEST: Final = 1.4  # seconds of sound without a word that are no breath and no stretched vowel
_SURE: Final = -0.8  # mean log probability from which on the second hearing is believed


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch of a window, in seconds, before its word number `before`."""

    start: float
    end: float
    before: int


async def hear(
    decode: Callable[[Sequence[Window]], Awaitable[list[WindowResult]]], windows: Sequence[Window]
) -> list[WindowResult]:
    """Decode windows and fill the holes; `decode` gives one result for each window, in order."""
    results = list(await decode(windows))
    missed = [
        (index, hole)
        for index, (window, result) in enumerate(zip(windows, results, strict=True))
        for hole in holes(window, result.words)
    ]
    if not missed:
        return results
    # From the last to the first, so that a word found does not move the place of the next.
    missed.reverse()
    again = await decode([_piece(windows[index], hole) for index, hole in missed])
    for (index, hole), found in zip(missed, again, strict=True):
        results[index] = filled(results[index], hole, found)
    return results


def holes(window: Window, words: Sequence[Word]) -> list[Hole]:
    """Find the stretches where something sounds and no word is; none where no word was aligned at all."""
    if not words:
        return []
    silent = pauses(window)
    placed = settle(words, window)
    edges = [0.0, *(moment for word in placed for moment in (word.start, word.end)), len(window) / SAMPLE_RATE]
    gaps = (Hole(start, end, index) for index, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=True)))
    return [gap for gap in gaps if _sounding(gap, silent) >= _LONGEST]


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
    moved = [replace(word, start=word.start + hole.start, end=word.end + hole.start) for word in new]
    words = (*before, *moved, *after)
    return replace(result, words=words, text="".join(word.word for word in words).strip())


def _same(one: Word, other: Word) -> bool:
    plain = ["".join(letter for letter in word.word.lower() if letter.isalnum()) for word in (one, other)]
    return plain[0] == plain[1]


def _sounding(hole: Hole, silent: Sequence[tuple[float, float]]) -> float:
    quiet = sum(max(0.0, min(hole.end, end) - max(hole.start, start)) for start, end in silent)
    return hole.end - hole.start - quiet


def _piece(window: Window, hole: Hole) -> Window:
    return window[round(hole.start * SAMPLE_RATE) : round(hole.end * SAMPLE_RATE)]
