"""Doubts about a decoded text: a decoder that got stuck or went silent, and words that nobody said.

Whisper was trained on subtitles. Over noise, music and silence it writes what stands in subtitles there: a thank you, a
credit, "you". Such texts are short for their window and the model is not sure of them; both together give them away.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .base import Word

# Openai-whisper's own limits for its temperature fallback.
_MAX_COMPRESSION_RATIO: Final = 2.4
_MIN_AVERAGE_LOGPROB: Final = -1.0
_MAX_NO_SPEECH_PROBABILITY: Final = 0.6
# Of a clear reading the model is surer than this. Below, a wider search pays: a tenth fewer errors in noise and calls.
_CLEAR_AVERAGE_LOGPROB: Final = -0.3
# A likelier text that leaves words out is no better one.
_KEPT_LENGTH: Final = 0.95
# Speech gives 10 to 20 bytes of UTF-8 a second in any script; far less means that text was dropped,
_MIN_BYTES_PER_SECOND: Final = 4.0
_FEW_BYTES_PER_SECOND: Final = 7.0
_MIN_SECONDS_TO_JUDGE: Final = 3.0
# and nobody speaks so fast that it is several times as much.
_MAX_BYTES_PER_SECOND: Final = 60.0
_MANY_SECONDS: Final = 1.5  # what a shorter window is taken for: an edge of it may have been cut off
_LONGEST_LOOP: Final = 40  # words, or characters in a script without spaces
_LONGEST_TEXT: Final = 500  # words: a window has fewer
_REPEATS: Final = 3  # of the same words, one after the other, are one too many in a text that was found to loop


@dataclass(frozen=True, slots=True)
class Decoded:
    """One window of `seconds` as the decoder gave it: `tokens` are text tokens only, `avg_logprob` per token."""

    tokens: tuple[int, ...]
    text: str
    seconds: float
    avg_logprob: float
    no_speech_prob: float
    repeats: bool = False
    """Its repetitions are really spoken: see repeats.py."""

    @property
    def is_silence(self) -> bool:
        """Whether the model itself says that nobody spoke, and its text is hardly there or not believed."""
        return self.no_speech_prob > _MAX_NO_SPEECH_PROBABILITY and (self.is_short or self.is_unsure)

    @property
    def is_unsure(self) -> bool:
        """Whether the model hardly believes its own text."""
        return self.avg_logprob < _MIN_AVERAGE_LOGPROB

    @property
    def is_short(self) -> bool:
        """Whether there is far less text than speech of this length has."""
        return self._bytes < max(1.0, self.seconds) * _MIN_BYTES_PER_SECOND

    @property
    def is_sparse(self) -> bool:
        """Whether so much less text is there than usual that a part of it may be missing."""
        return self.seconds >= _MIN_SECONDS_TO_JUDGE and self._bytes < self.seconds * _FEW_BYTES_PER_SECOND

    @property
    def is_dense(self) -> bool:
        """Whether there is more text than anybody could say in the time."""
        return self._bytes > max(_MANY_SECONDS, self.seconds) * _MAX_BYTES_PER_SECOND

    @property
    def loops(self) -> bool:
        """Whether the text repeats itself as a stuck decoder does, and nothing shows that it is spoken so."""
        encoded = self.text.encode()
        ratio = len(encoded) / len(zlib.compress(encoded))
        return not self.repeats and ratio > _MAX_COMPRESSION_RATIO

    @property
    def is_doubtful(self) -> bool:
        """Whether the window deserves another, more expensive try."""
        return not self.is_silence and (self.loops or self.is_sparse or self.is_dense or self.is_unsure)

    @property
    def could_be_better(self) -> bool:
        """Whether a wider search is worth its price: for what is doubtful, and for what the model had to guess at."""
        return self.is_doubtful or (not self.is_silence and self.avg_logprob < _CLEAR_AVERAGE_LOGPROB)

    @property
    def is_invented(self) -> bool:
        """Whether nobody said this, whatever the sound is: belief.py looks at that."""
        if not any(letter.isalnum() for letter in self.text):
            return True
        return self.is_unsure and (self.is_short or self.is_dense)

    @property
    def _bytes(self) -> int:
        return len(self.text.encode())


def best_of(tries: Sequence[Decoded]) -> Decoded:
    """Return the most believable of several tries at one window, the earlier one of equals, or silence."""
    first = tries[0]
    if not first.is_doubtful:
        tries = [first, *(tried for tried in tries[1:] if len(tried.text) >= _KEPT_LENGTH * len(first.text))]
    best = max(
        tries, key=lambda tried: (not tried.loops, not tried.is_dense, not tried.is_short, not tried.is_sparse,
                                  tried.avg_logprob)
    )  # fmt: skip
    return replace(best, tokens=(), text="") if best.is_silence or best.is_invented else best


def without_loops(words: Sequence[Word]) -> list[Word]:
    """Leave one of several repetitions, one after the other, of the same words."""
    kept: list[Word] = []
    said = [word.word for word in words]
    position = 0
    while position < len(words):
        length, times = repetition(said, position)
        if times <= _REPEATS:
            length = times = 1
        kept += words[position : position + length]
        position += length * times
    return kept


def repetition(words: Sequence[str], position: int) -> tuple[int, int]:
    """Give the number of the words that repeat themselves from here on, and how often; (1, 1) where none do.

    Of several patterns it is the one that goes on longest, and of those the shortest.
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
