"""Treat loud sound as speech, although the voice detector does not: the model decides about it.

The detector was trained on good recordings. On telephone calls, under music and far from the microphone it misses whole
sentences. So whatever is louder than the background noise for a quarter of a second is treated as speech.
"""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .spans import SPEECH

_ABOVE_BACKGROUND: Final = 10.0  # dB above the background noise
_FAINTEST: Final = -75.0  # dB of full scale: no model transcribes quieter speech
_QUIET_SHARE: Final = 10  # percentile of a block's levels that counts as background: speech has pauses
_MEMORY: Final = 4  # blocks of 2 s over which the background is measured, so that it follows changes
_HALF: Final = 4  # frames on either side of a frame that decide about it: 0.29 s
_ENOUGH: Final = 5  # of these frames must be loud, so that a click does not count


class LoudnessGate:
    """Raises the probability of speech to the tracker's threshold where sound is loud; takes blocks in order.

    The output is delayed by 0.13 s.
    """

    def __init__(self) -> None:
        self._backgrounds: deque[float] = deque(maxlen=_MEMORY)
        # The last frames: the first half is decided and still needed, the second half is undecided.
        self._loud = np.zeros(_HALF, bool)
        self._probabilities = np.zeros(_HALF, np.float32)
        self._levels = np.zeros(_HALF, np.float32)

    def feed(
        self, probabilities: NDArray[np.float32], levels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Take probability and level of each frame of a block; return those of the decided frames."""
        decibels = 20 * np.log10(np.maximum(levels, 1e-6))
        self._backgrounds.append(float(np.percentile(decibels, _QUIET_SHARE)))
        loud = decibels > max(_FAINTEST, min(self._backgrounds) + _ABOVE_BACKGROUND)
        return self._decide(loud, probabilities, levels)

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the last frames."""
        nothing = np.zeros(_HALF, np.float32)
        return self._decide(nothing > 0, nothing, nothing)

    def _decide(
        self, loud: NDArray[np.bool_], probabilities: NDArray[np.float32], levels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._loud = np.concatenate([self._loud, loud])
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        self._levels = np.concatenate([self._levels, levels])
        # np.convolve takes the longer operand for the signal, but a tiny recording is the shorter one.
        decidable = max(0, len(self._loud) - 2 * _HALF)
        around = np.convolve(self._loud, np.ones(2 * _HALF + 1), mode="valid")[:decidable]
        first, last = _HALF, _HALF + len(around)
        decided = np.where(around >= _ENOUGH, SPEECH, 0.0).astype(np.float32)
        found = np.maximum(self._probabilities[first:last], decided), self._levels[first:last]
        self._loud = self._loud[-2 * _HALF :]
        self._probabilities, self._levels = self._probabilities[-2 * _HALF :], self._levels[-2 * _HALF :]
        return found
