"""Build an engine's result for a window: its text and its words, each with the punctuation that belongs to it.

In Chinese, Japanese, Thai, Lao and Burmese an engine gives characters or parts of them. They are joined where no line
may break: numbers, foreign words, letters with their signs, the words of Thai.
"""

import string
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import accumulate

from transcriber.text.line_breaks import IN_WORD, breaks

from . import hypothesis
from .base import Task, WindowResult, Word
from .hypothesis import Hypothesis

_OPENS = "\"'“¿([{-«「『"


def window_result(decoded: Hypothesis, words: Sequence[Word], language: str, task: Task) -> WindowResult:
    """Combine the chosen hypothesis, its aligned words, the spoken language and the task."""
    spoken = list(_within(_join_punctuation(words), decoded.seconds))
    text = decoded.text
    if decoded.loops and spoken:
        spoken = hypothesis.without_loops(spoken)
        text = "".join(word.word for word in spoken).strip()
    return WindowResult(
        text=text,
        avg_logprob=round(decoded.avg_logprob, 4),
        no_speech_prob=round(decoded.no_speech_prob, 4),
        words=tuple(spoken),
        language=language,
        translated=task == "translate",
    )


def _join_punctuation(words: Sequence[Word]) -> list[Word]:
    """Join punctuation to its word: opening marks to the next one, all other marks to the one before."""
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
        elif joined and _is_punctuation(bare) and _belongs_to_previous(current.word, at, allowed):
            before = joined[-1]
            joined[-1] = Word(before.start, before.end, before.word + current.word, before.probability)
        elif joined and not current.word.startswith(" ") and allowed.get(at, IN_WORD) >= IN_WORD:
            before = joined[-1]
            probability = min(before.probability, current.probability)
            joined[-1] = Word(before.start, current.end, before.word + current.word, probability)
        else:
            joined.append(current)
    return joined if opening is None else [*joined, opening]


def _belongs_to_previous(text: str, at: int, allowed: Mapping[int, float]) -> bool:
    """Whether a mark at an offset belongs to the word before it, as in "Oui !", and unlike 「 after a word."""
    opens = unicodedata.category(text.strip()[0]) in ("Ps", "Pi")
    first = at + len(text) - len(text.lstrip())
    return first not in allowed or not (opens or text.startswith(" "))


def _within(words: Sequence[Word], seconds: float) -> list[Word]:
    """Clip times to the window, put them in order, round them to the model's resolution (0.02 s)."""
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
