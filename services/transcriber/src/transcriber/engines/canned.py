"""An engine for tests: it returns words derived from a hash of the audio, without any model.

Tests make it slow or make it crash by marks in the recording: a few full-scale samples, which speech does not have.
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
from .hypothesis import Hypothesis
from .results import window_result

_ALPHABET = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa"
_WORDS = _ALPHABET.split()
_SECONDS_PER_WORD = 0.4
_SLOWNESS = 0.1  # seconds for each mark
_FULL = 0.9  # of the scale

log = logging.getLogger(__name__)

# Marks: 1 is a sample at the top of the scale, -1 at its bottom.
SLOW: Final = (1, -1) * 16
"""Each mark makes the decoding of its window take 0.1 s longer."""
DEADLY: Final = (1, 1, -1, -1) * 8
"""The decoding of its window kills the whole worker, like the kernel when memory runs out."""


class CannedEngine:
    """The same window always gives the same text, for any model."""

    def __init__(self, model: str) -> None:
        self.info = EngineInfo(
            name="canned", version="1", model=model, model_digest="canned", compute_type="none", device="none"
        )

    threads = 1

    @property
    def batch_windows(self) -> int:
        """Any number is equally fast."""
        return 8

    def close(self) -> None:
        """Nothing to free."""

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:  # noqa: ARG002 (the protocol's)
        """Return English for every recording."""
        return "en", 1.0

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Return one word per 0.4 s of audio, chosen by the audio's hash."""
        for window in windows:
            _obey_marks(window)
        return [_invent(window, options) for window in windows]


def _obey_marks(window: Window) -> None:
    """Sleep or kill the worker by the window's marks."""
    extremes = np.where(window > _FULL, 1, np.where(window < -_FULL, -1, 0)).astype(np.int8).tobytes()
    if _pattern(DEADLY) in extremes:
        log.warning("CANNED ENGINE KILLS ITS WORKER BECAUSE OF A MARK IN THE RECORDING")
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)  # this process ends with its parent
    time.sleep(_SLOWNESS * extremes.count(_pattern(SLOW)))


def _pattern(mark: Sequence[int]) -> bytes:
    return np.array(mark, np.int8).tobytes()


def _invent(window: Window, options: DecodeOptions) -> WindowResult:
    seconds = len(window) / SAMPLE_RATE
    content = np.ascontiguousarray(window, np.float32).tobytes()
    chosen = hashlib.shake_256(content + repr(options).encode()).digest(max(1, int(seconds / _SECONDS_PER_WORD)))
    spoken = [_WORDS[byte % len(_WORDS)] for byte in chosen]
    spoken[-1] += "."
    words = [
        Word(index * _SECONDS_PER_WORD, (index + 1) * _SECONDS_PER_WORD, f" {word}", 1.0)
        for index, word in enumerate(spoken)
    ]
    return window_result(Hypothesis((), " ".join(spoken), seconds, -0.1, 0.0), words, options.language, options.task)
