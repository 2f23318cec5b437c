"""GPU kernels for the attention of one decoder step: one program per slot and head, up to the end of its text.

They read keys and values once, at the speed of the GPU's memory, skip empty slots, and add in a fixed order. cuDNN's
kernel for a single query is as fast, but its last digits differ from run to run (seen on an H100), and flash attention
computes a whole block of queries for a single one.
"""

# Triton's kernels need many parameters, constants in capitals, and types that Python does not know.
# ruff: noqa: N803, PLR0917
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import logging
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .attention_cache import AttentionCache

log = logging.getLogger(__name__)

_BLOCK = 128


@triton.jit
def _add_block(query, keys, values, at, last, best, total, weighted, WIDTH: tl.constexpr):
    """Attend to the next block of keys with a running softmax, which needs one pass only."""
    lane = tl.arange(0, WIDTH)
    inside = at < last
    key = tl.load(keys + at[:, None] * WIDTH + lane[None, :], mask=inside[:, None], other=0.0).to(tl.float32)
    scores = tl.sum(key * query[None, :], 1)
    value = tl.load(values + at[:, None] * WIDTH + lane[None, :], mask=inside[:, None], other=0.0).to(tl.float32)
    masked = tl.where(inside, scores, float("-inf"))
    highest = tl.maximum(best, tl.max(masked, 0))
    weights = tl.exp(masked - highest)
    kept = tl.exp(best - highest)
    weighted = weighted * kept + tl.sum(weights[:, None] * value, 0)
    return scores, highest, total * kept + tl.sum(weights, 0), weighted


@triton.jit
def _attend_text(
    query, key, value, slot_stride, keys, values, out, positions, done, scale,
    HEADS: tl.constexpr, CONTEXT: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    slot, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lane = tl.arange(0, WIDTH)
    target = out + (slot * HEADS + head) * WIDTH + lane
    if tl.load(done + slot) != 0:
        tl.store(target, tl.zeros([WIDTH], out.dtype.element_ty))
        return
    offset = slot * slot_stride + head * WIDTH + lane
    new_key, new_value = tl.load(key + offset), tl.load(value + offset)
    position = tl.load(positions + slot)
    keys += (slot * HEADS + head) * CONTEXT * WIDTH
    values += (slot * HEADS + head) * CONTEXT * WIDTH
    tl.store(keys + position * WIDTH + lane, new_key)
    tl.store(values + position * WIDTH + lane, new_value)
    scaled_query = tl.load(query + offset).to(tl.float32) * scale
    best = tl.sum(scaled_query * new_key.to(tl.float32), 0)
    total = 1.0
    weighted = new_value.to(tl.float32)
    for first in range(0, position, BLOCK):
        at = first + tl.arange(0, BLOCK)
        _, best, total, weighted = _add_block(scaled_query, keys, values, at, position, best, total, weighted, WIDTH)
    tl.store(target, (weighted / total).to(out.dtype.element_ty))


@triton.jit
def _attend_audio(
    query, slot_stride, keys, values, out, alignment, alignment_slot, rows, last_row, positions, spoken_from, done,
    scale,
    HEADS: tl.constexpr, FRAMES: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    slot, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lane = tl.arange(0, WIDTH)
    target = out + (slot * HEADS + head) * WIDTH + lane
    if tl.load(done + slot) != 0:
        tl.store(target, tl.zeros([WIDTH], out.dtype.element_ty))
        return
    scaled_query = tl.load(query + slot * slot_stride + head * WIDTH + lane).to(tl.float32) * scale
    keys += (slot * HEADS + head) * FRAMES * WIDTH
    values += (slot * HEADS + head) * FRAMES * WIDTH
    row = tl.load(rows + head)
    token = tl.minimum(tl.load(positions + slot) - tl.load(spoken_from), last_row)
    alignment += slot * alignment_slot + (row * ROWS + token) * FRAMES
    best = float("-inf")
    total = 0.0
    weighted = tl.zeros([WIDTH], tl.float32)
    for first in range(0, FRAMES, BLOCK):
        at = first + tl.arange(0, BLOCK)
        scores, best, total, weighted = _add_block(scaled_query, keys, values, at, FRAMES, best, total, weighted, WIDTH)
        if row >= 0:
            tl.store(alignment + at, scores, mask=at < FRAMES)
    tl.store(target, (weighted / total).to(out.dtype.element_ty))


class Kernels:
    """The two attentions of a step over all slots, `done` ones left out."""

    def __init__(self, memory: AttentionCache, positions: Tensor, spoken_from: Tensor, done: Tensor) -> None:
        self._memory, self._positions, self._spoken_from, self._done = memory, positions, spoken_from, done
        layers, _, self._slots, self._heads, self._context, self._width = memory.text_cache.shape
        self._rows = torch.full((layers, self._heads), -1, dtype=torch.int64)
        for layer in range(layers):
            for row, head in memory.alignment_rows(layer):
                self._rows[layer, head] = row
        self._rows = self._rows.to(positions.device)

    def attend_text(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Store the new token's key and value, and attend to the text so far."""
        out = self._out(query)
        keys, values = self._memory.text_cache[layer]
        _attend_text[(self._slots, self._heads)](
            query, key, value, query.stride(0), keys, values, out, self._positions, self._done, self._memory.scale,
            HEADS=self._heads, CONTEXT=self._context, WIDTH=self._width, BLOCK=_BLOCK,
        )  # fmt: skip
        return out.transpose(1, 2)

    def attend_audio(self, layer: int, query: Tensor) -> Tensor:
        """Attend to the audio, and store the scores of the alignment heads."""
        out = self._out(query)
        keys, values = self._memory.audio_cache[layer]
        alignment = self._memory.alignment_scores
        _attend_audio[(self._slots, self._heads)](
            query, query.stride(0), keys, values, out, alignment, alignment.stride(0), self._rows[layer],
            alignment.shape[2] - 1, self._positions, self._spoken_from, self._done, self._memory.scale,
            HEADS=self._heads, FRAMES=alignment.shape[3], ROWS=alignment.shape[2], WIDTH=self._width, BLOCK=_BLOCK,
        )  # fmt: skip
        return out.transpose(1, 2)

    def _out(self, query: Tensor) -> Tensor:
        return torch.empty(self._slots, 1, self._heads, self._width, device=query.device, dtype=query.dtype)


@triton.jit
def _probe(target):
    tl.store(target, 1)


@cache
def usable() -> bool:
    """Whether kernels can be built: that needs a C compiler, which not every machine with a GPU has."""
    target: Any = torch.zeros(1, dtype=torch.int32, device="cuda")
    try:
        _probe[(1,)](target)
        return bool(target.item() == 1)
    except Exception as error:
        log.warning("GPU kernels cannot be built, decoding is slower: %s", error)
        return False
