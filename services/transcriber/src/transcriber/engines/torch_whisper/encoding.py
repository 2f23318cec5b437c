"""Encode groups of windows with fixed shapes, on a GPU as one graph."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from transcriber.engines.base import Window
from transcriber.engines.features import WINDOW_SAMPLES

from .network import Network

_WARM_UPS = 2


class Encoding:
    """Encodes groups of at most `group` windows; silence fills up smaller groups."""

    def __init__(self, network: Network, group: int) -> None:
        self.group = group
        self._network = network
        self._on_gpu = network.device.type == "cuda"
        self._audio = torch.zeros(group, WINDOW_SAMPLES, device=network.device)
        self._encoded: Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def stage(self, windows: Sequence[Window]) -> Tensor:
        """Copy windows to pinned memory for the transfer to the GPU; may be called from any thread."""
        audio = torch.empty(self.group, WINDOW_SAMPLES, pin_memory=self._on_gpu)
        audio[len(windows) :].zero_()
        for row, window in zip(audio, windows, strict=False):
            content = torch.from_numpy(np.array(window[:WINDOW_SAMPLES], np.float32))
            row[: len(content)] = content
            row[len(content) :].zero_()
        return audio

    def encode(self, staged: Tensor) -> Tensor:
        """Return the encoder's output, shape (group, 1500, width); the next call may overwrite it."""
        if not self._on_gpu:
            return self._network.encode(self._network.mel(staged))
        self._audio.copy_(staged, non_blocking=True)
        if self._graph is None or self._encoded is None:
            self._capture()
        assert self._graph is not None
        assert self._encoded is not None
        self._graph.replay()
        return self._encoded

    def _capture(self) -> None:
        """Capture the encoder as a graph: the kernels of a small model are shorter than their launches."""
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._network.encode(self._network.mel(self._audio))
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        # Allocations of other threads must not fail this capture.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._encoded = self._network.encode(self._network.mel(self._audio))
