"""Recordings for the canned engine: real speech with marks in it that make the engine slow or deadly."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from transcriber.engines.canned import DEADLY, SLOW

from . import recordings
from .recordings import RATE, Samples


@dataclass(frozen=True)
class Recording:
    """A recording by its name."""

    name: str
    content: bytes


@cache
def brief() -> Recording:
    """About twelve seconds: one chunk, done at once."""
    return _recording("brief", recordings.speech()[: 12 * RATE])


@cache
def lengthy() -> Recording:
    """Some minutes in several chunks, of which each takes about a second."""
    return _recording("lengthy", _marked(recordings.long_recording(170), SLOW, every=4.0))


@cache
def deadly() -> Recording:
    """Two minutes with a mark in the middle that kills the worker who decodes it."""
    samples = recordings.long_recording(120)
    return _recording("deadly", _marked(samples, DEADLY, at=[len(samples) / RATE / 2]))


def _recording(name: str, samples: Samples) -> Recording:
    return Recording(name, recordings.encoded(samples, "flac", "flac"))


def _marked(samples: Samples, mark: Sequence[int], *, every: float = 0.0, at: Sequence[float] = ()) -> Samples:
    """Put the mark where something is said, so that it is part of a window: near these moments, in seconds."""
    moments = at or np.arange(every / 2, len(samples) / RATE - every, every)
    marked = samples.copy()
    for moment in moments:
        near = slice(int(moment * RATE), int((moment + 3) * RATE))
        loudest = near.start + int(np.abs(samples[near].astype(np.int32)).argmax())
        marked[loudest : loudest + len(mark)] = np.array(mark, np.int32) * 32_767
    return marked
