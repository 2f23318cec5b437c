"""A chunk's audio as the windows an engine takes."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .audio import SAMPLE_BYTES
from .engines.base import Window


def cut_windows(pcm: bytes, lengths: Sequence[int]) -> list[Window]:
    """Cut a chunk's PCM into windows of so many samples each; raises ValueError when they do not fit it exactly."""
    if sum(lengths) * SAMPLE_BYTES != len(pcm):
        raise ValueError(f"a chunk of {len(pcm)} bytes cannot hold windows of {sum(lengths)} samples")
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
    edges = np.cumsum([0, *lengths])
    return [samples[start:end] for start, end in pairwise(edges)]
