"""What an engine answers for a window: its text and its words, each with the punctuation that belongs to it.

In Chinese, Japanese, Thai, Lao and Burmese an engine gives characters or parts of them. They are joined to what no line
is broken in: numbers, foreign words, letters with their signs, the words of Thai.
"""

import string
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import accumulate

from transcriber.text.line_breaks import IN_WORD, breaks

from . import hypothesis
from .base import WindowResult, Word
from .hypothesis import Decoded

_OPENS = "\"'“¿([{-«「『"


def window_result(decoded: Decoded, words: Sequence[Word], language: str) -> WindowResult:
    """Put a settled window, its aligned words and the language it was decoded in together as an engine's answer."""
    said = list(_within(_joined(words), decoded.seconds))
    text = decoded.text
    if decoded.loops and said:
        said = hypothesis.without_loops(said)
        text = "".join(word.word for word in said).strip()
    return WindowResult(
        text=text,
        avg_logprob=round(decoded.avg_logprob, 4),
        no_speech_prob=round(decoded.no_speech_prob, 4),
        words=tuple(said),
        language=language,
    )


def _joined(words: Sequence[Word]) -> list[Word]:
    """Give punctuation to the word it belongs to: opening marks to the next one, everything else to the one before."""
    allowed = breaks("".join(word.word for word in words))
    joined: list[Word] = []
    opening: Word | None = None
    for word, at in zip(words, accumulate((len(word.word) for word in words), initial=0), strict=False):
        current = word
        if opening is not None:
            current = Word(opening.start, word.end, opening.word + word.word, word.probability)
            opening = None
        bare = current.word.strip()
        if current.word.startswith(" ") and bare in _OPENS:
            opening = current
        elif joined and _is_punctuation(bare) and _clings(current.word, at, allowed):
            before = joined[-1]
            joined[-1] = Word(before.start, before.end, before.word + current.word, before.probability)
        elif joined and not current.word.startswith(" ") and allowed.get(at, IN_WORD) >= IN_WORD:
            before = joined[-1]
            probability = min(before.probability, current.probability)
            joined[-1] = Word(before.start, current.end, before.word + current.word, probability)
        else:
            joined.append(current)
    return joined if opening is None else [*joined, opening]


def _clings(text: str, at: int, allowed: Mapping[int, float]) -> bool:
    """Whether a mark at an offset belongs to the word before it, as in "Oui !", and unlike 「 after a word."""
    opens = unicodedata.category(text.strip()[0]) in ("Ps", "Pi")
    first = at + len(text) - len(text.lstrip())
    return first not in allowed or not (opens or text.startswith(" "))


def _within(words: Sequence[Word], seconds: float) -> list[Word]:
    """Clip to the window, make times run forward, round to what the model resolves (0.02 s)."""
    clipped: list[Word] = []
    earliest = 0.0
    for word in words:
        start = round(min(max(word.start, earliest), seconds), 2)
        end = round(min(max(word.end, start), seconds), 2)
        earliest = end
        clipped.append(Word(start, end, word.word, round(word.probability, 3)))
    return clipped


def _is_punctuation(text: str) -> bool:
    return bool(text) and all(
        letter in string.punctuation or unicodedata.category(letter).startswith("P") for letter in text
    )
