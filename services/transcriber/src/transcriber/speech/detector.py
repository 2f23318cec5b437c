"""Silero's voice detector as a stream, on sound raised to an even level."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models import default_dir, detector

FRAME: Final = 512  # samples per probability: 32 ms at 16 kHz, what the model was trained on
BLOCK: Final = 64 * FRAME  # samples per call: 2 s, so that the state is carried and memory stays flat
_CONTEXT: Final = 64  # samples of the previous frame that the model needs again
_STATE: Final = (1, 1, 128)

# The detector misses speech below about -50 dBFS, so quiet recordings are raised, for the detector only.
_TARGET: Final = 0.06  # root mean square of the loud frames, about -24 dBFS
_MOST_GAIN: Final = 30.0  # about 30 dB: more would raise the hiss of a silent recording to a signal
_RELEASE: Final = 0.97  # per block of 2 s: a loud passage lowers the gain for about a minute
_LOUD: Final = 90  # percentile of the frames' levels that counts as loud


def model_path() -> Path:
    """Find the detector's weights in MODEL_DIR; raises ModelError when they are not there or are not the known ones."""
    return detector.find(default_dir())


@cache
def model_digest() -> str:
    """The SHA-256 of the detector's weights, on which a plan depends."""
    return hashlib.sha256(model_path().read_bytes()).hexdigest()


@cache
def _session() -> onnxruntime.InferenceSession:
    """Load the weights once: recordings share them, because a recording's state is kept outside."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model_path()), sess_options=options, providers=["CPUExecutionProvider"])


class SpeechDetector:
    """Computes the probability of speech for every 32 ms of a recording; takes blocks in order."""

    def __init__(self) -> None:
        self._session = _session()
        self._hidden = np.zeros(_STATE, np.float32)
        self._cell = np.zeros(_STATE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._level = 0.0
        self._gain: float | None = None

    def probabilities(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a whole number of frames (float32, -1..1), return one probability per frame."""
        frames = self._levelled(samples).reshape(-1, FRAME)
        before = np.vstack([self._context, frames[:-1, -_CONTEXT:]])
        self._context = frames[-1, -_CONTEXT:].copy()
        found, self._hidden, self._cell = self._session.run(
            None, {"input": np.hstack([before, frames]), "h": self._hidden, "c": self._cell}
        )
        return np.asarray(found, np.float32).reshape(-1)

    def _levelled(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raise quiet sound to the level of ordinary speech; loud sound stays unchanged."""
        loud = float(np.percentile(levels(samples), _LOUD))
        self._level = max(loud, self._level * _RELEASE)
        gain = min(_MOST_GAIN, max(1.0, _TARGET / self._level)) if self._level > 0 else 1.0
        before = gain if self._gain is None else self._gain
        self._gain = gain
        if before == gain == 1.0:
            return samples
        return np.asarray(samples * np.linspace(before, gain, len(samples), dtype=np.float32), np.float32)


def speech_probabilities(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability of speech for every frame of a sound; the last frame is padded with silence."""
    framed = np.pad(window, (0, -len(window) % FRAME))
    detector = SpeechDetector()
    blocks = [detector.probabilities(framed[start : start + BLOCK]) for start in range(0, len(framed), BLOCK)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def levels(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the root mean square of every frame."""
    return np.asarray(np.sqrt(np.mean(np.square(samples.reshape(-1, FRAME)), axis=1)), np.float32)
