"""What can be heard although the voice detector does not take it for speech: it is kept, and the model decides.

The detector was trained on good recordings. On telephone calls, under music and far from the microphone it lets whole
sentences go. Whatever stands out from the noise of the room for a quarter of a second is therefore treated as speech.
"""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .spans import SPEECH

_ABOVE_FLOOR: Final = 10.0  # dB over the noise of the room
_FAINTEST: Final = -75.0  # dB of full scale: below is nothing that a model could understand
_QUIET_SHARE: Final = 10  # percentile of a block's levels that is taken for the room: people pause to breathe
_MEMORY: Final = 4  # blocks of 2 s over which the room is remembered: a new place soon becomes the usual one
_HALF: Final = 4  # frames on either side of a frame that decide about it together: 0.29 s
_ENOUGH: Final = 5  # of these frames have to stand out, so that a click does not count


class Attention:
    """Raise the probability of speech to the tracker's threshold wherever something is audible; feed it in order.

    What comes out lags 0.13 s behind what goes in.
    """

    def __init__(self) -> None:
        self._floors: deque[float] = deque(maxlen=_MEMORY)
        # The last frames: the first half of them is decided and still needed, the other half is not decided yet.
        self._audible = np.zeros(_HALF, bool)
        self._probabilities = np.zeros(_HALF, np.float32)
        self._levels = np.zeros(_HALF, np.float32)

    def feed(
        self, probabilities: NDArray[np.float32], levels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Take the detector's probability and the level of each frame of a block; give those of the frames decided."""
        decibels = 20 * np.log10(np.maximum(levels, 1e-6))
        self._floors.append(float(np.percentile(decibels, _QUIET_SHARE)))
        audible = decibels > max(_FAINTEST, min(self._floors) + _ABOVE_FLOOR)
        return self._decide(audible, probabilities, levels)

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give the last frames."""
        nothing = np.zeros(_HALF, np.float32)
        return self._decide(nothing > 0, nothing, nothing)

    def _decide(
        self, audible: NDArray[np.bool_], probabilities: NDArray[np.float32], levels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._audible = np.concatenate([self._audible, audible])
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        self._levels = np.concatenate([self._levels, levels])
        # Not np.convolve alone, which takes the longer of its operands for the signal: a tiny recording is the shorter.
        decidable = max(0, len(self._audible) - 2 * _HALF)
        around = np.convolve(self._audible, np.ones(2 * _HALF + 1), mode="valid")[:decidable]
        first, last = _HALF, _HALF + len(around)
        decided = np.where(around >= _ENOUGH, SPEECH, 0.0).astype(np.float32)
        found = np.maximum(self._probabilities[first:last], decided), self._levels[first:last]
        self._audible = self._audible[-2 * _HALF :]
        self._probabilities, self._levels = self._probabilities[-2 * _HALF :], self._levels[-2 * _HALF :]
        return found
