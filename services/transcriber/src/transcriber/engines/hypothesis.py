"""Quality checks of a decoded text: loops, missing text, and text without speech.

Whisper was trained on subtitles. Over noise, music and silence it writes what subtitles hold there: a thank you, a
credit, "you". Such texts are short for their window and have a low probability; both together identify them.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .base import Word

# The limits of openai-whisper's temperature fallback.
_MAX_COMPRESSION_RATIO: Final = 2.4
_MIN_AVERAGE_LOGPROB: Final = -1.0
_MAX_NO_SPEECH_PROBABILITY: Final = 0.6
# Below this a wider search pays: a tenth fewer errors in noise and telephone calls.
_CLEAR_AVERAGE_LOGPROB: Final = -0.3
# A more probable text that is shorter than this share of the first one is not better.
_KEPT_LENGTH: Final = 0.95
# Speech gives 10 to 20 bytes of UTF-8 a second in any script; far less means that text is missing,
_MIN_BYTES_PER_SECOND: Final = 4.0
_FEW_BYTES_PER_SECOND: Final = 7.0
_MIN_SECONDS_TO_JUDGE: Final = 3.0
# several times as much is faster than any speech.
_MAX_BYTES_PER_SECOND: Final = 60.0
_MANY_SECONDS: Final = 1.5  # minimum length for this check: a window may be cut off at its edges
_LONGEST_LOOP: Final = 40  # words, or characters in a script without spaces
_LONGEST_TEXT: Final = 500  # words; a window has fewer
_REPEATS: Final = 3  # more consecutive repetitions of the same words are removed from a looping text


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A decoder's text for one window of `seconds`: `tokens` are text tokens only, `avg_logprob` is per token."""

    tokens: tuple[int, ...]
    text: str
    seconds: float
    avg_logprob: float
    no_speech_prob: float
    repeats: bool = False
    """Its repetitions are spoken: see repetitions.py."""

    @property
    def is_silence(self) -> bool:
        """Whether the model reports no speech, and its text is short or improbable."""
        return self.no_speech_prob > _MAX_NO_SPEECH_PROBABILITY and (self.is_short or self.is_unsure)

    @property
    def is_unsure(self) -> bool:
        """Whether the text is improbable."""
        return self.avg_logprob < _MIN_AVERAGE_LOGPROB

    @property
    def is_short(self) -> bool:
        """Whether there is far less text than in speech of this length."""
        return self._bytes < max(1.0, self.seconds) * _MIN_BYTES_PER_SECOND

    @property
    def is_sparse(self) -> bool:
        """Whether there is so little text that a part may be missing."""
        return self.seconds >= _MIN_SECONDS_TO_JUDGE and self._bytes < self.seconds * _FEW_BYTES_PER_SECOND

    @property
    def is_dense(self) -> bool:
        """Whether there is more text than can be spoken in the time."""
        return self._bytes > max(_MANY_SECONDS, self.seconds) * _MAX_BYTES_PER_SECOND

    @property
    def loops(self) -> bool:
        """Whether the text repeats itself, and the repetitions are not known to be spoken."""
        encoded = self.text.encode()
        ratio = len(encoded) / len(zlib.compress(encoded))
        return not self.repeats and ratio > _MAX_COMPRESSION_RATIO

    @property
    def is_doubtful(self) -> bool:
        """Whether the window needs another, more expensive search."""
        return not self.is_silence and (self.loops or self.is_sparse or self.is_dense or self.is_unsure)

    @property
    def could_be_better(self) -> bool:
        """Whether a wider search is worth its cost: for doubtful and for less probable texts."""
        return self.is_doubtful or (not self.is_silence and self.avg_logprob < _CLEAR_AVERAGE_LOGPROB)

    @property
    def is_hallucinated(self) -> bool:
        """Whether the text shows by itself that it was not spoken; word_filter.py checks it against the sound."""
        if not any(letter.isalnum() for letter in self.text):
            return True
        return self.is_unsure and (self.is_short or self.is_dense)

    @property
    def _bytes(self) -> int:
        return len(self.text.encode())


def best_of(tries: Sequence[Hypothesis]) -> Hypothesis:
    """Return the best of several hypotheses for one window, the first of equals, or an empty text."""
    first = tries[0]
    if not first.is_doubtful:
        tries = [first, *(tried for tried in tries[1:] if len(tried.text) >= _KEPT_LENGTH * len(first.text))]
    best = max(
        tries, key=lambda tried: (not tried.loops, not tried.is_dense, not tried.is_short, not tried.is_sparse,
                                  tried.avg_logprob)
    )  # fmt: skip
    return replace(best, tokens=(), text="") if best.is_silence or best.is_hallucinated else best


def without_loops(words: Sequence[Word]) -> list[Word]:
    """Keep one of several consecutive repetitions of the same words."""
    kept: list[Word] = []
    texts = [word.word for word in words]
    position = 0
    while position < len(words):
        length, times = repetition(texts, position)
        if times <= _REPEATS:
            length = times = 1
        kept += words[position : position + length]
        position += length * times
    return kept


def repetition(words: Sequence[str], position: int) -> tuple[int, int]:
    """Return the length of the pattern of words that repeats from here on, and how often; (1, 1) if none does.

    Of several patterns it is the one that covers most words, and of those the shortest.
    """
    plain = [_plain(word) for word in words[position : position + _LONGEST_TEXT]]
    best = (1, 1)
    for length in range(1, min(_LONGEST_LOOP, len(plain) // 2) + 1):
        pattern, times = plain[:length], 1
        while plain[times * length : (times + 1) * length] == pattern:
            times += 1
        if times > 1 and times * length > best[0] * best[1]:
            best = (length, times)
    return best


def _plain(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum())
