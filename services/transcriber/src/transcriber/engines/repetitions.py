"""Distinguish spoken repetitions from a decoder's loop: every spoken word takes time.

Both give the same text with the same probability. The alignment distinguishes them: a spoken word covers a stretch of
sound, and each repetition of a phrase takes about as long. In a loop the words have no length, or their times differ
widely. A decoder that follows spoken repetitions to their end often continues; then the text is cut after the last one
that has sound.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from .base import Word
from .hypothesis import Hypothesis, repetition

_SPOKEN: Final = 0.04  # seconds: the model's resolution is 0.02, and no word is shorter
_UNSPOKEN_SHARE: Final = 0.05  # of the words may be shorter: alignment is not exact for short words
_REGULAR: Final = 2.0  # factor by which a repetition may be longer or shorter than the median
_BESIDE: Final = 2  # repetitions more or less than the words with a length suggest
_FEWEST: Final = 3  # consecutive repetitions of a pattern

Align = Callable[[Hypothesis], list[Word]]
"""Aligns a text with the window's sound."""


def keep_spoken(decoded: Hypothesis, align: Align) -> Hypothesis:
    """Keep the repetitions of a looping text that have sound; return any other text unchanged."""
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
        rest = ()  # the decoder stopped within a repetition
    for count in range(min(times, likely + _BESIDE), max(_FEWEST, likely - _BESIDE) - 1, -1):
        shorter = replace(decoded, tokens=(*decoded.tokens[: start + count * length], *rest), repeats=True)
        words = align(shorter)
        if _is_spoken(words):
            return replace(shorter, text="".join(word.word for word in words).strip())
    return decoded


def _is_unspoken(word: Word) -> bool:
    return word.end - word.start < _SPOKEN


def _is_spoken(words: Sequence[Word]) -> bool:
    """Whether the words take plausible time, and each repetition of a phrase as long as the others."""
    unspoken = sum(map(_is_unspoken, words))
    if not words or unspoken > _UNSPOKEN_SHARE * len(words):
        return False
    texts = [word.word for word in words]
    position, found = 0, False
    while position < len(words):
        length, times = repetition(texts, position)
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
    """Find the longest stretch of a repeated token pattern: its start, the pattern's length, the repetitions."""
    best = (0, 1, 1)
    for length in range(1, len(tokens) // _FEWEST + 1):
        run = 0
        for index in range(length, len(tokens)):
            run = run + 1 if tokens[index] == tokens[index - length] else 0
            times = run // length + 1
            if run and times >= _FEWEST and times * length > best[1] * best[2]:
                best = (index + 1 - run - length, length, times)
    return best
