"""One decoder step's attention as GPU kernels: one program per slot and head, each as far as its text goes.

They read keys and values once, at the card's memory speed, skip empty slots, and add in a fixed order. cuDNN's kernel
for a single query is as fast but gives other last digits in every run (seen on an H100), and flash attention computes
a whole block of queries for the one there is.
"""

# Kernels have the parameters that they have, constants in capitals, and Triton's types are none that Python knows.
# ruff: noqa: N803, PLR0917
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import logging
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .memory import Memory

log = logging.getLogger(__name__)

_BLOCK = 128


@triton.jit
def _add_block(query, keys, values, at, last, best, total, heard, WIDTH: tl.constexpr):
    """Let a query look at the next block of keys; softmax is kept running, so one pass is enough."""
    lane = tl.arange(0, WIDTH)
    inside = at < last
    key = tl.load(keys + at[:, None] * WIDTH + lane[None, :], mask=inside[:, None], other=0.0).to(tl.float32)
    scores = tl.sum(key * query[None, :], 1)
    value = tl.load(values + at[:, None] * WIDTH + lane[None, :], mask=inside[:, None], other=0.0).to(tl.float32)
    masked = tl.where(inside, scores, float("-inf"))
    highest = tl.maximum(best, tl.max(masked, 0))
    weights = tl.exp(masked - highest)
    kept = tl.exp(best - highest)
    heard = heard * kept + tl.sum(weights[:, None] * value, 0)
    return scores, highest, total * kept + tl.sum(weights, 0), heard


@triton.jit
def _look_at_text(
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
    asked = tl.load(query + offset).to(tl.float32) * scale
    best = tl.sum(asked * new_key.to(tl.float32), 0)
    total = 1.0
    heard = new_value.to(tl.float32)
    for first in range(0, position, BLOCK):
        at = first + tl.arange(0, BLOCK)
        _, best, total, heard = _add_block(asked, keys, values, at, position, best, total, heard, WIDTH)
    tl.store(target, (heard / total).to(out.dtype.element_ty))


@triton.jit
def _look_at_audio(
    query, slot_stride, keys, values, out, followed, followed_slot, rows, last_row, positions, spoken_from, done, scale,
    HEADS: tl.constexpr, FRAMES: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    slot, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lane = tl.arange(0, WIDTH)
    target = out + (slot * HEADS + head) * WIDTH + lane
    if tl.load(done + slot) != 0:
        tl.store(target, tl.zeros([WIDTH], out.dtype.element_ty))
        return
    asked = tl.load(query + slot * slot_stride + head * WIDTH + lane).to(tl.float32) * scale
    keys += (slot * HEADS + head) * FRAMES * WIDTH
    values += (slot * HEADS + head) * FRAMES * WIDTH
    row = tl.load(rows + head)
    token = tl.minimum(tl.load(positions + slot) - tl.load(spoken_from), last_row)
    followed += slot * followed_slot + (row * ROWS + token) * FRAMES
    best = float("-inf")
    total = 0.0
    heard = tl.zeros([WIDTH], tl.float32)
    for first in range(0, FRAMES, BLOCK):
        at = first + tl.arange(0, BLOCK)
        scores, best, total, heard = _add_block(asked, keys, values, at, FRAMES, best, total, heard, WIDTH)
        if row >= 0:
            tl.store(followed + at, scores, mask=at < FRAMES)
    tl.store(target, (heard / total).to(out.dtype.element_ty))


class Kernels:
    """The two attentions of a step over all slots, `done` ones left out."""

    def __init__(self, memory: Memory, positions: Tensor, spoken_from: Tensor, done: Tensor) -> None:
        self._memory, self._positions, self._spoken_from, self._done = memory, positions, spoken_from, done
        layers, _, self._slots, self._heads, self._context, self._width = memory.own.shape
        self._rows = torch.full((layers, self._heads), -1, dtype=torch.int64)
        for layer in range(layers):
            for row, head in memory.following(layer):
                self._rows[layer, head] = row
        self._rows = self._rows.to(positions.device)

    def own(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Remember the new token and look at the text so far."""
        out = self._out(query)
        keys, values = self._memory.own[layer]
        _look_at_text[(self._slots, self._heads)](
            query, key, value, query.stride(0), keys, values, out, self._positions, self._done, self._memory.scale,
            HEADS=self._heads, CONTEXT=self._context, WIDTH=self._width, BLOCK=_BLOCK,
        )  # fmt: skip
        return out.transpose(1, 2)

    def heard(self, layer: int, query: Tensor) -> Tensor:
        """Look at the audio, and remember how the heads did that follow the words."""
        out = self._out(query)
        keys, values = self._memory.heard[layer]
        followed = self._memory.followed
        _look_at_audio[(self._slots, self._heads)](
            query, query.stride(0), keys, values, out, followed, followed.stride(0), self._rows[layer],
            followed.shape[2] - 1, self._positions, self._spoken_from, self._done, self._memory.scale,
            HEADS=self._heads, FRAMES=followed.shape[3], ROWS=followed.shape[2], WIDTH=self._width, BLOCK=_BLOCK,
        )  # fmt: skip
        return out.transpose(1, 2)

    def _out(self, query: Tensor) -> Tensor:
        return torch.empty(self._slots, 1, self._heads, self._width, device=query.device, dtype=query.dtype)


@triton.jit
def _probe(target):
    tl.store(target, 1)


@cache
def usable() -> bool:
    """Whether kernels can be built here: that takes a C compiler, which not every machine with a GPU has."""
    target: Any = torch.zeros(1, dtype=torch.int32, device="cuda")
    try:
        _probe[(1,)](target)
        return bool(target.item() == 1)
    except Exception as error:
        log.warning("decoding without kernels of our own, somewhat slower: %s", error)
        return False
