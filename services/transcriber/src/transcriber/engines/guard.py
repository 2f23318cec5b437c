"""Doubts about a decoded text: the decoder got stuck in a loop, or went silent in the middle of speech."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

# Openai-whisper's own limits for its temperature fallback.
_MAX_COMPRESSION_RATIO = 2.4
_MIN_AVERAGE_LOGPROB = -1.0
_MAX_NO_SPEECH_PROBABILITY = 0.6
# Speech gives 10 to 20 bytes of UTF-8 a second in any script; far less means that text was dropped.
_MIN_BYTES_PER_SECOND = 4.0
_MIN_SECONDS_TO_JUDGE = 3.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """One window of `seconds` as the decoder gave it: `tokens` are text tokens only, `avg_logprob` per token."""

    tokens: tuple[int, ...]
    text: str
    seconds: float
    avg_logprob: float
    no_speech_prob: float

    @property
    def is_silence(self) -> bool:
        """Whether the model itself says that nobody spoke, and its text is hardly there or not believed."""
        return self.no_speech_prob > _MAX_NO_SPEECH_PROBABILITY and (
            self.is_short or self.avg_logprob < _MIN_AVERAGE_LOGPROB
        )

    @property
    def is_short(self) -> bool:
        """Whether there is far less text than speech of this length has."""
        return len(self.text.encode()) < max(1.0, self.seconds) * _MIN_BYTES_PER_SECOND

    @property
    def loops(self) -> bool:
        """Whether the text repeats itself as only a stuck decoder does."""
        encoded = self.text.encode()
        return bool(encoded) and len(encoded) / len(zlib.compress(encoded)) > _MAX_COMPRESSION_RATIO

    @property
    def is_doubtful(self) -> bool:
        """Whether the window deserves another, more expensive try."""
        dropped = self.is_short and self.seconds >= _MIN_SECONDS_TO_JUDGE
        return not self.is_silence and (self.loops or dropped or self.avg_logprob < _MIN_AVERAGE_LOGPROB)


def settle(tries: Sequence[Decoded]) -> Decoded:
    """Return the most believable of several tries at one window, the earlier one of equals, or silence."""
    best = max(tries, key=lambda tried: (not tried.loops, not tried.is_short, tried.avg_logprob))
    return replace(best, tokens=(), text="") if best.is_silence else best
