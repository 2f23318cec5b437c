"""Quiet passages raised to the level of ordinary speech: next to a loud voice the model does not hear a quiet one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .speech import SPEECH
from .vad import BLOCK, FRAME, SpeechDetector, levels

_ORDINARY: Final = 0.06  # root mean square of the loud frames of ordinary speech, about -24 dBFS
_QUIET: Final = 0.25  # share of it below which a passage is raised: 12 dB; what lies above is how people speak
_LOUD: Final = 90  # percentile of the frames' levels that counts as loud
_MOST_GAIN: Final = 40.0  # 32 dB


def raised(pcm: bytes) -> bytes:
    """Take a passage as signed 16-bit PCM, and give it back, louder if it is quiet speech.

    A breath or a rustle must not become loud: the passage stays as it is unless the detector hears speech in it then.
    """
    samples = np.frombuffer(pcm, "<i2")
    sound = np.asarray(samples[: len(samples) // FRAME * FRAME] / 32768, np.float32)
    loud = float(np.percentile(levels(sound), _LOUD)) if len(sound) else 0.0
    if loud >= _QUIET * _ORDINARY or loud == 0.0:
        return pcm
    gain = min(_MOST_GAIN, _ORDINARY / loud)
    if not _is_speech(np.asarray(np.clip(sound * gain, -1, 1), np.float32)):
        return pcm
    return np.clip(np.rint(samples * gain), -32768, 32767).astype("<i2").tobytes()


def _is_speech(sound: NDArray[np.float32]) -> bool:
    detector = SpeechDetector()
    return any(
        float(detector.probabilities(sound[start : start + BLOCK]).max()) >= SPEECH
        for start in range(0, len(sound), BLOCK)
    )
