"""Word times by dynamic time warping over the decoder's attention scores.

The same arithmetic as openai-whisper's `find_alignment`, without its second pass through the model: the scores were
stored while decoding, and the medians come from a sorting network instead of a sort.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor
from whisper.audio import TOKENS_PER_SECOND

from transcriber.engines.base import Word

from .slots import DecodedSlot

_MEDIAN_WIDTH = 7
# Devillard's network: compare-and-swap pairs after which the middle one of seven values is the median.
_MEDIAN_NETWORK = (
    (0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Path:
    """The cost of each token at each moment, (token, frame of 0.02 s), while it is copied to the host's memory."""

    cost: Tensor
    ready: torch.cuda.Event | None

    @classmethod
    def of(cls, decoded: DecodedSlot, aligned_from: int, frames: int) -> "Path":
        """Compute the cost from the scores of a window with this many frames of audio (of 0.02 s, at least one)."""
        weights = decoded.alignment_scores[..., :frames].softmax(-1)
        deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, correction=0)
        cost = -_medians((weights - mean) / deviation).mean(0)[aligned_from:-1]
        if cost.device.type == "cpu":
            return cls(cost, None)
        host = torch.empty(cost.shape, dtype=cost.dtype, pin_memory=True)
        host.copy_(cost, non_blocking=True)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record()
        return cls(host, ready)

    def words(self, decoded: DecodedSlot, tokenizer: Any) -> list[Word]:
        """Find the path of least cost and the words' times on it; may be called from any thread."""
        if self.ready is not None:
            self.ready.synchronize()
        moments = _first_frames(np.ascontiguousarray(self.cost.numpy())) / TOKENS_PER_SECOND
        return _words(decoded.tokens, decoded.probabilities, moments, tokenizer)


def _medians(values: Tensor) -> Tensor:
    """Take the median of seven neighbours in the last dimension, mirrored at its ends."""
    reach = _MEDIAN_WIDTH // 2
    length = values.shape[-1]
    if length <= reach:
        return values
    padded = F.pad(values, (reach, reach), mode="reflect")
    lanes = [padded[..., shift : shift + length] for shift in range(_MEDIAN_WIDTH)]
    for low, high in _MEDIAN_NETWORK:
        lanes[low], lanes[high] = torch.minimum(lanes[low], lanes[high]), torch.maximum(lanes[low], lanes[high])
    return lanes[reach]


@numba.njit(nogil=True)
def _first_frames(cost: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return for each row the column where the monotonic path of least cost enters it."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf, np.float32)
    came = np.zeros((rows + 1, columns + 1), np.int8)
    total[0, 0] = 0.0
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            both, down, right = total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]
            if both < down and both < right:
                total[row, column], came[row, column] = cost[row - 1, column - 1] + both, 0
            elif down < both and down < right:
                total[row, column], came[row, column] = cost[row - 1, column - 1] + down, 1
            else:
                total[row, column], came[row, column] = cost[row - 1, column - 1] + right, 2
    first = np.zeros(rows, np.int64)
    row, column = rows, columns
    while row > 0 or column > 0:
        if row > 0 and column > 0:
            first[row - 1] = column - 1
        if row == 0:
            column -= 1
        elif column == 0 or came[row, column] == 1:
            row -= 1
        elif came[row, column] == 0:
            row, column = row - 1, column - 1
        else:
            column -= 1
    return first


def _words(
    tokens: Sequence[int], probabilities: Sequence[float], moments: npt.NDArray[np.float64], tokenizer: Any
) -> list[Word]:
    """Group tokens into words: each begins with its first token and ends where the next one begins."""
    texts, groups = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    words, position = [], 0
    for text, group in zip(texts[:-1], groups[:-1], strict=True):
        end = position + len(group)
        probability = sum(probabilities[position:end]) / len(group)
        words.append(Word(float(moments[position]), float(moments[end]), text, probability))
        position = end
    return words
