"""Turn PCM into chunks as a stream: voice detection, spans, windows and the waveform in one pass."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE
from transcriber.audio.peaks import Peaks

from .detector import BLOCK, SpeechDetector, levels
from .levelling import raise_quiet_speech
from .loudness_gate import LoudnessGate
from .packing import Packer, PlannedChunk, cut_windows
from .spans import Span, SpeechTracker
from .speech_counter import SpeechCounter, framed, probabilities

SHORTEST: Final = SAMPLE_RATE // 10  # samples: a recording under a tenth of a second has no word
_BLOCK_BYTES: Final = BLOCK * SAMPLE_BYTES


@dataclass(frozen=True, slots=True)
class ChunkAudio:
    """A chunk and its PCM: the windows' audio back to back."""

    chunk: PlannedChunk
    pcm: bytes

    def windows(self) -> list[NDArray[np.float32]]:
        """Return the windows in the engine's sample format."""
        return cut_windows(self.pcm, [window.length for window in self.chunk.windows])


class Analysis:
    """Analyses one recording; blocking, to be run outside the event loop.

    Memory holds only the audio of the current chunk and the current span.
    """

    def __init__(self) -> None:
        self.peaks = Peaks()
        self.samples = 0
        self.speech_samples = 0
        self._detector = SpeechDetector()
        self._gate = LoudnessGate()
        self._counter = SpeechCounter()
        self._tracker = SpeechTracker()
        self._packer = Packer()
        self._incoming = bytearray()
        self._recent = bytearray()  # audio from `_recent_start` on that a span may still need
        self._recent_start = 0
        self._packed = bytearray()  # audio of spans that are in no complete chunk yet

    @property
    def duration_seconds(self) -> float:
        """The length of the recording so far."""
        return self.samples / SAMPLE_RATE

    @property
    def speech_seconds(self) -> float:
        """The speech so far, with its padding."""
        return self.speech_samples / SAMPLE_RATE

    @property
    def voice_seconds(self) -> float:
        """The speech so far by the voice detector alone, without padding."""
        return self._counter.seconds

    @property
    def held_bytes(self) -> int:
        """The bytes of audio in memory."""
        return len(self._incoming) + len(self._recent) + len(self._packed)

    def feed(self, pcm: bytes) -> list[ChunkAudio]:
        """Take signed 16-bit little-endian mono PCM at 16 kHz, return the complete chunks."""
        self._incoming += pcm
        found: list[ChunkAudio] = []
        while len(self._incoming) >= _BLOCK_BYTES:
            block = bytes(self._incoming[:_BLOCK_BYTES])
            del self._incoming[:_BLOCK_BYTES]
            found += self._analyse(block)
        return found

    def finish(self) -> list[ChunkAudio]:
        """Return the last chunks."""
        found = self._analyse(bytes(self._incoming)) if self._incoming else []
        self._incoming.clear()
        if self.samples < SHORTEST:
            return []
        found += self._plan(self._tracker.feed(*self._gate.finish()))
        found += self._plan(self._tracker.finish(self.samples))
        return found + [self._with_audio(chunk) for chunk in self._packer.finish()]

    def _analyse(self, pcm: bytes) -> list[ChunkAudio]:
        samples = np.frombuffer(pcm, "<i2")
        self.samples += len(samples)
        self.peaks.feed(samples)
        self._recent += pcm
        frames = framed(samples)
        found = probabilities(self._detector, frames)
        self._counter.feed(found)
        gated = self._gate.feed(found, levels(frames))
        chunks = self._plan(self._tracker.feed(*gated))
        settled = self._tracker.settled
        if settled > self._recent_start:
            del self._recent[: (settled - self._recent_start) * SAMPLE_BYTES]
            self._recent_start = settled
        return chunks

    def _plan(self, spans: Iterable[Span]) -> list[ChunkAudio]:
        found: list[ChunkAudio] = []
        for span in spans:
            new, full = self._packer.push(span)
            found += [self._with_audio(chunk) for chunk in full]
            first, last = new.start - self._recent_start, new.end - self._recent_start
            self._packed += raise_quiet_speech(bytes(self._recent[first * SAMPLE_BYTES : last * SAMPLE_BYTES]))
            self.speech_samples += span.length - span.shared
        return found

    def _with_audio(self, chunk: PlannedChunk) -> ChunkAudio:
        length = chunk.length * SAMPLE_BYTES
        pcm = bytes(self._packed[:length])
        del self._packed[:length]
        return ChunkAudio(chunk, pcm)
