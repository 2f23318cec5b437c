"""Count the speech of a track by the voice detector alone, and probe tracks for speech."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE

from .detector import BLOCK, FRAME, SpeechDetector, levels
from .loudness_gate import LoudnessGate
from .spans import SPEECH

ENOUGH_SECONDS: Final = 0.5  # of speech, from which on a track counts as one with speech
_SHORTEST: Final = 8  # frames (0.26 s): shorter runs are clicks and beeps
_BLOCK_BYTES: Final = BLOCK * SAMPLE_BYTES


class SpeechCounter:
    """Counts the frames of speech in runs that are longer than a click."""

    def __init__(self) -> None:
        self._frames = 0
        self._run = 0

    @property
    def seconds(self) -> float:
        """Seconds of speech so far."""
        return round(self._frames * FRAME / SAMPLE_RATE, 3)

    def feed(self, probabilities: NDArray[np.float32]) -> None:
        """Add the detector's probabilities of the next frames."""
        for spoken in (probabilities >= SPEECH).tolist():
            self._run = self._run + 1 if spoken else 0
            if self._run >= _SHORTEST:
                self._frames += _SHORTEST if self._run == _SHORTEST else 1


def framed(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Convert samples to whole frames of float32, the last one padded with silence."""
    return np.pad(samples, (0, -len(samples) % FRAME)).astype(np.float32) / 32768.0


def probabilities(detector: SpeechDetector, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the detector's probability for each frame; 0 for digital silence, without a call of the model."""
    if not samples.any():
        return np.zeros(len(samples) // FRAME, np.float32)
    return detector.probabilities(samples)


class TrackProbe:
    """Finds out whether a track has speech, before or without its transcription."""

    def __init__(self) -> None:
        self.audible = False
        self._counter = SpeechCounter()
        self._detector = SpeechDetector()
        self._gate = LoudnessGate()
        self._held = bytearray()

    @property
    def speech_seconds(self) -> float:
        """Seconds of speech so far."""
        return self._counter.seconds

    @property
    def has_speech(self) -> bool:
        """Whether the track counts as one with speech."""
        return self.speech_seconds >= ENOUGH_SECONDS

    def feed(self, pcm: bytes) -> None:
        """Take signed 16-bit little-endian mono PCM at 16 kHz."""
        self._held += pcm
        while len(self._held) >= _BLOCK_BYTES:
            self._process(bytes(self._held[:_BLOCK_BYTES]))
            del self._held[:_BLOCK_BYTES]

    def finish(self) -> None:
        """Process the rest at the end of the track."""
        if self._held:
            self._process(bytes(self._held))
            self._held.clear()

    def _process(self, pcm: bytes) -> None:
        samples = framed(np.frombuffer(pcm, "<i2"))
        found = probabilities(self._detector, samples)
        self._counter.feed(found)
        gated, _ = self._gate.feed(found, levels(samples))
        self.audible = self.audible or bool((gated >= SPEECH).any())
