"""Mix tracks to one stream of mono samples: first the channels of each track, then the tracks."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from .downmix import Downmixer, Samples

_STEP: Final = 16_000  # samples of the common time line that are mixed at a time


def mono(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Mix blocks (channels, samples) into blocks (samples,); the number of channels may change."""
    mixer: Downmixer | None = None
    channels = 0
    for samples in blocks:
        if mixer is None or samples.shape[0] != channels:
            if mixer is not None:
                yield mixer.flush()
            channels = samples.shape[0]
            mixer = Downmixer(channels)
        yield mixer.feed(samples)
    if mixer is not None:
        yield mixer.flush()


def mixed(tracks: Sequence[Iterable[Samples]]) -> Iterator[Samples]:
    """Mix tracks of mono blocks on their common time line; shorter ones end with silence.

    Tracks are mixed like the channels of one recording: a silent one does not make the others quieter, and one of
    opposite polarity does not cancel them.
    """
    if len(tracks) == 1:
        yield from tracks[0]
        return
    mixer = Downmixer(len(tracks))
    queues = [_Queue(track) for track in tracks]
    while True:
        pieces = [queue.take(_STEP) for queue in queues]
        length = max(map(len, pieces))
        if not length:
            break
        yield mixer.feed(np.stack([np.pad(piece, (0, length - len(piece))) for piece in pieces]))
    yield mixer.flush()


class _Queue:
    """Returns a track's samples in steps of equal length, the last one shorter."""

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks = iter(blocks)
        self._held: list[Samples] = []
        self._length = 0

    def take(self, length: int) -> Samples:
        while self._length < length and (block := next(self._blocks, None)) is not None:
            self._held.append(block)
            self._length += len(block)
        held = np.concatenate(self._held) if self._held else np.zeros(0, np.float32)
        self._held, self._length = [held[length:]], max(0, self._length - length)
        return held[:length]
