"""A test engine: says words derived from a hash of the audio, at once. It understands nothing.

Tests make it misbehave by marks in the recording: a few full-scale samples, which no speech has.
"""

import hashlib
import logging
import os
import signal
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from transcriber.audio.pcm import SAMPLE_RATE

from .base import DecodeOptions, EngineInfo, Window, WindowResult, Word
from .hypothesis import Decoded
from .results import window_result

_ALPHABET = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa"
_WORDS = _ALPHABET.split()
_SECONDS_PER_WORD = 0.4
_SLOWNESS = 0.1  # seconds for each mark
_FULL = 0.9  # of the scale

log = logging.getLogger(__name__)

# Marks by what they do: 1 is a sample at the top of the scale, -1 at its bottom.
SLOW: Final = (1, -1) * 16
"""Each one makes decoding its window take 0.1 s longer."""
DEADLY: Final = (1, 1, -1, -1) * 8
"""Decoding its window kills the whole worker, as the kernel does with one that takes too much memory."""


class CannedEngine:
    """The same window always gives the same text, whatever model it is asked for."""

    def __init__(self, model: str) -> None:
        self.info = EngineInfo(
            name="canned", version="1", model=model, model_digest="canned", compute_type="none", device="none"
        )

    threads = 1

    @property
    def batch_windows(self) -> int:
        """Any number of windows is as good as another."""
        return 8

    def close(self) -> None:
        """There is nothing to free."""

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:  # noqa: ARG002 (the protocol's)
        """Every recording is in English."""
        return "en", 1.0

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Say one word per 0.4 s of audio, chosen by the audio's hash."""
        for window in windows:
            _misbehave(window)
        return [_say(window, options) for window in windows]


def _misbehave(window: Window) -> None:
    """Do what the window's marks ask for."""
    extremes = np.where(window > _FULL, 1, np.where(window < -_FULL, -1, 0)).astype(np.int8).tobytes()
    if _pattern(DEADLY) in extremes:
        log.warning("THE CANNED ENGINE KILLS ITS WORKER, AS A MARK IN THE RECORDING TELLS IT TO")
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)  # this process dies with its parent
    time.sleep(_SLOWNESS * extremes.count(_pattern(SLOW)))


def _pattern(mark: Sequence[int]) -> bytes:
    return np.array(mark, np.int8).tobytes()


def _say(window: Window, options: DecodeOptions) -> WindowResult:
    seconds = len(window) / SAMPLE_RATE
    content = np.ascontiguousarray(window, np.float32).tobytes()
    chosen = hashlib.shake_256(content + repr(options).encode()).digest(max(1, int(seconds / _SECONDS_PER_WORD)))
    spoken = [_WORDS[byte % len(_WORDS)] for byte in chosen]
    spoken[-1] += "."
    words = [
        Word(index * _SECONDS_PER_WORD, (index + 1) * _SECONDS_PER_WORD, f" {word}", 1.0)
        for index, word in enumerate(spoken)
    ]
    return window_result(Decoded((), " ".join(spoken), seconds, -0.1, 0.0), words, options.language)
