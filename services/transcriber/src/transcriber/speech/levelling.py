"""Raise quiet passages to the level of ordinary speech: beside a loud voice the model misses a quiet one.

Two people who speak in quick turns may share a span, so a span is levelled piece by piece, between pauses.
"""

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .detector import BLOCK, FRAME, SpeechDetector, levels
from .spans import SPEECH

_ORDINARY: Final = 0.06  # root mean square of the loud frames of ordinary speech, about -24 dBFS
_QUIET: Final = 0.25  # share of it below which a passage is raised: 12 dB; above it, speech is ordinary
_LOUD: Final = 90  # percentile of the frames' levels that counts as loud
_MOST_GAIN: Final = 40.0  # 32 dB
_SILENT: Final = 3.0  # factor (10 dB) to the faintest frames of a span: below it there is no speech
_FAINTEST: Final = 5  # percentile of the frames' levels that counts as the faintest
_NOTHING: Final = 1e-4  # -80 dB of full scale: minimum level for the comparison, because digital silence has none
_PAUSE: Final = 4  # frames: 128 ms
_SHORTEST: Final = 31  # frames (1 s): shorter quiet speech beside loud speech is a trailing syllable


def raise_quiet_speech(pcm: bytes) -> bytes:
    """Take a passage as signed 16-bit PCM and return it with quiet speech raised.

    A breath or a rustle must not become loud: a quiet piece is raised only if the detector finds speech in the result.
    """
    samples = np.frombuffer(pcm, "<i2")
    sound = np.asarray(samples[: len(samples) // FRAME * FRAME] / 32768, np.float32)
    if not len(sound):
        return pcm
    frame_levels = levels(sound)
    parts: list[bytes] = []
    for quiet, first, last in _runs(frame_levels):
        end = len(samples) if last == len(frame_levels) else last * FRAME
        part = samples[first * FRAME : end]
        whole = first == 0 and last == len(frame_levels)
        parts.append(_raise(part) if quiet and (whole or last - first >= _SHORTEST) else part.tobytes())
    return b"".join(parts)


def _runs(frame_levels: NDArray[np.float32]) -> Iterator[tuple[bool, int, int]]:
    """Split a span where its level changes, in the middle of a pause: (quiet, first frame, last frame)."""
    silent = frame_levels < _SILENT * max(float(np.percentile(frame_levels, _FAINTEST)), _NOTHING)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]]).astype(np.int8)))
    pauses = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= _PAUSE]
    cuts = [0, *((a + b) // 2 for a, b in pauses if a > 0 and b < len(frame_levels)), len(frame_levels)]
    pieces = [(_is_quiet(frame_levels[first:last]), first, last) for first, last in pairwise(cuts)]
    for quiet, group in groupby(pieces, key=lambda piece: piece[0]):
        together = list(group)
        yield quiet, together[0][1], together[-1][2]


def _is_quiet(frame_levels: NDArray[np.float32]) -> bool:
    return float(np.percentile(frame_levels, _LOUD)) < _QUIET * _ORDINARY


def _raise(samples: NDArray[np.int16]) -> bytes:
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
