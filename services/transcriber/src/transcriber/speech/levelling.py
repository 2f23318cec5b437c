"""Quiet passages raised to the level of ordinary speech: next to a loud voice the model does not hear a quiet one.

Two people who answer each other quickly may share a span, so that it is levelled piece by piece, between pauses.
"""

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .detector import BLOCK, FRAME, SpeechDetector, levels
from .spans import SPEECH

_ORDINARY: Final = 0.06  # root mean square of the loud frames of ordinary speech, about -24 dBFS
_QUIET: Final = 0.25  # share of it below which a passage is raised: 12 dB; what lies above is how people speak
_LOUD: Final = 90  # percentile of the frames' levels that counts as loud
_MOST_GAIN: Final = 40.0  # 32 dB
_SILENT: Final = 3.0  # times the faintest frames of a span (10 dB): nobody speaks
_FAINTEST: Final = 5  # percentile of the frames' levels that counts as the faintest
_NOTHING: Final = 1e-4  # -80 dB of full scale: digital silence has no level to be compared with
_PAUSE: Final = 4  # frames: 128 ms
_SHORTEST: Final = 31  # frames (1 s) of quiet speech beside loud speech that are no trailing syllable


def raised(pcm: bytes) -> bytes:
    """Take a passage as signed 16-bit PCM, and give it back, louder where it is quiet speech.

    A breath or a rustle must not become loud: what is quiet stays as it is unless the detector hears speech in it then.
    """
    samples = np.frombuffer(pcm, "<i2")
    sound = np.asarray(samples[: len(samples) // FRAME * FRAME] / 32768, np.float32)
    if not len(sound):
        return pcm
    heard = levels(sound)
    parts: list[bytes] = []
    for quiet, first, last in _runs(heard):
        end = len(samples) if last == len(heard) else last * FRAME
        part = samples[first * FRAME : end]
        whole = first == 0 and last == len(heard)
        parts.append(_raised(part) if quiet and (whole or last - first >= _SHORTEST) else part.tobytes())
    return b"".join(parts)


def _runs(heard: NDArray[np.float32]) -> Iterator[tuple[bool, int, int]]:
    """Cut a span where it becomes loud or quiet, in the middle of a pause: (quiet, first frame, last frame)."""
    silent = heard < _SILENT * max(float(np.percentile(heard, _FAINTEST)), _NOTHING)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]]).astype(np.int8)))
    pauses = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= _PAUSE]
    cuts = [0, *((a + b) // 2 for a, b in pauses if a > 0 and b < len(heard)), len(heard)]
    pieces = [(_is_quiet(heard[first:last]), first, last) for first, last in pairwise(cuts)]
    for quiet, group in groupby(pieces, key=lambda piece: piece[0]):
        together = list(group)
        yield quiet, together[0][1], together[-1][2]


def _is_quiet(heard: NDArray[np.float32]) -> bool:
    return float(np.percentile(heard, _LOUD)) < _QUIET * _ORDINARY


def _raised(samples: NDArray[np.int16]) -> bytes:
    sound = np.asarray(samples[: len(samples) // FRAME * FRAME] / 32768, np.float32)
    loud = float(np.percentile(levels(sound), _LOUD))
    gain = min(_MOST_GAIN, _ORDINARY / loud) if loud else 1.0
    if gain == 1.0 or not _is_speech(np.asarray(np.clip(sound * gain, -1, 1), np.float32)):
        return samples.tobytes()
    return bytes(np.clip(np.rint(samples * gain), -32768, 32767).astype("<i2").tobytes())


def _is_speech(sound: NDArray[np.float32]) -> bool:
    detector = SpeechDetector()
    return any(
        float(detector.probabilities(sound[start : start + BLOCK]).max()) >= SPEECH
        for start in range(0, len(sound), BLOCK)
    )
