"""What somebody really says again and again, and what only a stuck decoder does: every spoken word takes time.

Both give the same text, and the model is as sure of the one as of the other. The alignment tells them apart: a word
that was spoken lies on a stretch of sound of its own, and each time the phrase comes it takes about as long. Of a loop
the words have no length, or the times are wildly different. A decoder that follows real repetitions to their end often
does not stop there; then the text is cut after the last one that has a sound.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from .base import Word
from .hypothesis import Decoded, repetition

_SPOKEN: Final = 0.04  # seconds: the model resolves 0.02, and no word is spoken faster
_UNSPOKEN_SHARE: Final = 0.05  # of the words may be shorter: alignment is not always right about an article
_REGULAR: Final = 2.0  # times the median, or a part of it, that one repetition may take
_BESIDE: Final = 2  # repetitions more or less than the words that have a length make up
_FEWEST: Final = 3  # repetitions in a row: fewer are no pattern

Align = Callable[[Decoded], list[Word]]
"""Finds the words of a text in the window's sound."""


def keep_spoken(decoded: Decoded, align: Align) -> Decoded:
    """Leave those repetitions of a looping text that have a sound of their own; any other text stays as it is."""
    if not decoded.loops:
        return decoded
    words = align(decoded)
    if _is_spoken(words):
        return replace(decoded, repeats=True)
    start, length, times = _period(decoded.tokens)
    timed = sum(not _is_unspoken(word) for word in words)
    likely = round(timed / max(1.0, len(words) * length / len(decoded.tokens)))
    rest = decoded.tokens[start + times * length :]
    if rest == decoded.tokens[start : start + len(rest)]:
        rest = ()  # the decoder was stopped in the middle of one
    for count in range(min(times, likely + _BESIDE), max(_FEWEST, likely - _BESIDE) - 1, -1):
        shorter = replace(decoded, tokens=(*decoded.tokens[: start + count * length], *rest), repeats=True)
        words = align(shorter)
        if _is_spoken(words):
            return replace(shorter, text="".join(word.word for word in words).strip())
    return decoded


def _is_unspoken(word: Word) -> bool:
    return word.end - word.start < _SPOKEN


def _is_spoken(words: Sequence[Word]) -> bool:
    """Whether the words take the time that words take, and each repetition of a phrase as long as the others."""
    unspoken = sum(map(_is_unspoken, words))
    if not words or unspoken > _UNSPOKEN_SHARE * len(words):
        return False
    said = [word.word for word in words]
    position, found = 0, False
    while position < len(words):
        length, times = repetition(said, position)
        if times >= _FEWEST:
            found = True
            firsts = range(position, position + times * length, length)
            lengths = [words[first + length - 1].end - words[first].start for first in firsts]
            usual = statistics.median(lengths)
            if min(lengths) * _REGULAR < usual or max(lengths) > usual * _REGULAR:
                return False
        position += length * times
    return found


def _period(tokens: Sequence[int]) -> tuple[int, int, int]:
    """Find the longest stretch of the same few tokens again and again: its start, their number, how often."""
    best = (0, 1, 1)
    for length in range(1, len(tokens) // _FEWEST + 1):
        run = 0
        for index in range(length, len(tokens)):
            run = run + 1 if tokens[index] == tokens[index - length] else 0
            times = run // length + 1
            if run and times >= _FEWEST and times * length > best[1] * best[2]:
                best = (index + 1 - run - length, length, times)
    return best
