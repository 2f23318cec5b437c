"""How much of a track is speech by the voice detector alone, and whether it can be heard at all."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE

from .detector import BLOCK, FRAME, SpeechDetector, levels
from .loudness_gate import Attention
from .spans import SPEECH

ENOUGH_SECONDS: Final = 0.5  # of speech, for a track to be one that somebody speaks on
_SHORTEST: Final = 8  # frames (0.26 s): shorter runs are clicks and beeps
_BLOCK_BYTES: Final = BLOCK * SAMPLE_BYTES


class Voice:
    """Counts the frames that are speech, in runs that are long enough to be some."""

    def __init__(self) -> None:
        self._frames = 0
        self._run = 0

    @property
    def seconds(self) -> float:
        """The speech so far."""
        return round(self._frames * FRAME / SAMPLE_RATE, 3)

    def feed(self, probabilities: NDArray[np.float32]) -> None:
        """Take the detector's probability for each of the next frames."""
        for spoken in (probabilities >= SPEECH).tolist():
            self._run = self._run + 1 if spoken else 0
            if self._run >= _SHORTEST:
                self._frames += _SHORTEST if self._run == _SHORTEST else 1


def framed(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """The samples as whole frames of float32, the last one filled up with silence."""
    return np.pad(samples, (0, -len(samples) % FRAME)).astype(np.float32) / 32768.0


def probabilities(detector: SpeechDetector, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The detector's probability for each frame; digital silence is none, which hours of it need no model for."""
    if not samples.any():
        return np.zeros(len(samples) // FRAME, np.float32)
    return detector.probabilities(samples)


class Listener:
    """Listens to a track that is not transcribed, or not yet: with the same detector, and a state of its own."""

    def __init__(self) -> None:
        self.audible = False
        self._voice = Voice()
        self._detector = SpeechDetector()
        self._attention = Attention()
        self._held = bytearray()

    @property
    def speech_seconds(self) -> float:
        """The speech so far."""
        return self._voice.seconds

    @property
    def speaks(self) -> bool:
        """Whether there is enough of it to count."""
        return self.speech_seconds >= ENOUGH_SECONDS

    def feed(self, pcm: bytes) -> None:
        """Take signed 16-bit little-endian mono PCM at 16 kHz."""
        self._held += pcm
        while len(self._held) >= _BLOCK_BYTES:
            self._listen(bytes(self._held[:_BLOCK_BYTES]))
            del self._held[:_BLOCK_BYTES]

    def finish(self) -> None:
        """Take what is held back as the end of the track."""
        if self._held:
            self._listen(bytes(self._held))
            self._held.clear()

    def _listen(self, pcm: bytes) -> None:
        samples = framed(np.frombuffer(pcm, "<i2"))
        found = probabilities(self._detector, samples)
        self._voice.feed(found)
        stands_out, _ = self._attention.feed(found, levels(samples))
        self.audible = self.audible or bool((stands_out >= SPEECH).any())
