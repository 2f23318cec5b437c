"""Mix channels to mono without losing a voice: a silent or inverted channel must not cancel the others."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

BLOCK: Final = 4000  # samples per decision: 0.25 s at 16 kHz, long enough to judge phase, short enough to follow turns
AUDIBLE: Final = 1e-7  # mean square, -70 dBFS: below it the phase is unknown
INVERTED: Final = -0.5  # correlation below which channels cancel rather than add
ALIGNED: Final = 0.5  # correlation above which they add again; between the two the last decision is kept


class Downmixer:
    """Mix (channels, samples) blocks into mono at the level of the loudest channel.

    A plain average halves a call whose other side is silent, and cancels channels of opposite polarity. So inverted
    channels are inverted back before they are added, and the sum is scaled to the energy of the loudest channel.
    Weights change linearly over a block, which prevents clicks.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._signs = np.ones(channels, np.float32)
        self._gain = 1.0
        self._weights: Samples | None = None
        self._pending: list[Samples] = []
        self._held = 0

    def feed(self, samples: Samples) -> Samples:
        """Take samples of shape (channels, n), return the mono samples of all complete blocks."""
        if self._channels == 1:
            mono: Samples = samples[0]
            return mono
        self._pending.append(samples)
        self._held += samples.shape[1]
        if self._held < BLOCK:
            return np.zeros(0, np.float32)
        held = np.concatenate(self._pending, axis=1)
        whole = self._held - self._held % BLOCK
        mixed = [self._mix(held[:, start : start + BLOCK]) for start in range(0, whole, BLOCK)]
        self._pending = [held[:, whole:]]
        self._held -= whole
        return np.concatenate(mixed)

    def flush(self) -> Samples:
        """Return the rest at the end of the recording."""
        held = np.concatenate(self._pending, axis=1) if self._pending else np.zeros((self._channels, 0), np.float32)
        self._pending, self._held = [], 0
        return self._mix(held) if held.shape[1] else np.zeros(0, np.float32)

    def _mix(self, block: Samples) -> Samples:
        energies = np.mean(np.square(block, dtype=np.float64), axis=1)
        total = block[0].astype(np.float64)
        for channel in range(1, self._channels):
            self._signs[channel] = self._sign(channel, total, block[channel], float(energies[channel]))
            total = total + float(self._signs[channel]) * block[channel]
        summed = float(np.mean(np.square(total)))
        if summed > AUDIBLE:
            loudest = float(energies.max())
            self._gain = min(1.0, max(1.0 / self._channels, (loudest / summed) ** 0.5))
        weights = (self._signs * self._gain).astype(np.float32)
        before = weights if self._weights is None else self._weights
        self._weights = weights
        ramp = np.linspace(0.0, 1.0, block.shape[1], dtype=np.float32)
        moving = before[:, None] + (weights - before)[:, None] * ramp[None, :]
        return np.asarray(np.sum(block * moving, axis=0), np.float32)

    def _sign(self, channel: int, total: NDArray[np.float64], samples: Samples, energy: float) -> float:
        """Return 1 if a channel is added as it is, -1 if inverted."""
        other = float(np.mean(np.square(total)))
        if min(energy, other) <= AUDIBLE:
            return float(self._signs[channel])
        correlation = float(np.mean(total * samples)) / (energy * other) ** 0.5
        if correlation < INVERTED:
            return -1.0
        if correlation > ALIGNED:
            return 1.0
        return float(self._signs[channel])
