"""The decoder's keys and values for the windows in its slots, and the attention of one step over them.

`start` fills slots with the first tokens of new windows; `attend_text` and `attend_audio` are the two attentions of a
later step. On a CPU each slot is computed by itself, up to its last token; on a GPU all slots at once with a mask,
which can be captured as a graph.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor

from .network import Network

Heads = Sequence[tuple[int, int]]


class AttentionCache:
    """Keys and values of all slots, and the attention scores of the alignment heads.

    Shapes: `text_cache` (layer, 2, slot, head, text, head width), `audio_cache` the same over 1500 audio frames,
    `alignment_scores` (slot, alignment head, row, 1500) in float32, where row 0 is <|startoftranscript|>.
    """

    def __init__(self, network: Network, slots: int, rows: int, heads: Heads) -> None:
        dims = network.dims
        place: dict[str, Any] = {"device": network.device, "dtype": network.dtype}
        per_slot = (slots, dims.n_text_head)
        layers, width = dims.n_text_layer, network.head_width
        self.text_cache = torch.zeros(layers, 2, *per_slot, dims.n_text_ctx, width, **place)
        self.audio_cache = torch.zeros(layers, 2, *per_slot, dims.n_audio_ctx, width, **place)
        self.alignment_scores = torch.zeros(slots, len(heads), rows, dims.n_audio_ctx, device=network.device)
        self.scale = network.head_width**-0.5
        self._heads = {
            layer: [(row, head) for row, (of, head) in enumerate(heads) if of == layer] for layer in range(layers)
        }
        self._network = network

    def start(self, encoded: Tensor, tokens: Tensor, slots: Sequence[int], spoken_from: int) -> Tensor:
        """Run the decoder over the first tokens, shape (time,), of encoded windows; return (n, time, width).

        Windows beyond `slots` only fill the shape and are not stored.
        """
        count, time = len(slots), len(tokens)
        where = torch.tensor(slots, device=encoded.device)

        def self_attention(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            self.text_cache[layer, 0, where, :, :time] = key[:count]
            self.text_cache[layer, 1, where, :, :time] = value[:count]
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)

        def cross_attention(layer: int, query: Tensor) -> Tensor:
            key, value = both = self._network.cross(layer, encoded)
            # One by one: a single indexed write of this size takes several times as long on a GPU.
            for row, slot in enumerate(slots):
                self.audio_cache[layer, :, slot] = both[:, row]
            for row, head in self._heads[layer]:
                scores = query[:count, head, spoken_from:] @ key[:count, head].transpose(-1, -2)
                self.alignment_scores[where, row, : time - spoken_from] = scores.float() * self.scale
            return F.scaled_dot_product_attention(query, key, value)

        x = self._network.embed(tokens, torch.arange(time, device=encoded.device))
        return self._network.read(x.expand(len(encoded), -1, -1), self_attention, cross_attention)

    def store_alignment_scores(self, layer: int, slots: Tensor | int, rows: Tensor | int, scores: Tensor) -> None:
        """Store scores of shape (..., head, 1500) of this layer's alignment heads."""
        for row, head in self._heads[layer]:
            self.alignment_scores[slots, row, rows] = scores[..., head, :]

    def alignment_rows(self, layer: int) -> list[tuple[int, int]]:
        """Return the rows of `alignment_scores` for this layer, with their heads."""
        return self._heads[layer]


class Step(Protocol):
    """The two attentions of one step, over one new token in every slot: shapes (slot, head, 1, head width)."""

    def attend_text(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Store the new token's key and value, and attend to the text so far."""
        ...

    def attend_audio(self, layer: int, query: Tensor) -> Tensor:
        """Attend to the audio."""
        ...


class SlotBySlot:
    """Each busy slot by itself, up to its last token, independent of the other slots."""

    def __init__(self, memory: AttentionCache, busy: dict[int, int], spoken_from: int) -> None:
        self._memory, self._busy, self._spoken_from = memory, busy, spoken_from

    def attend_text(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend to the text so far."""
        keys, values = self._memory.text_cache[layer]
        out = torch.zeros_like(query)
        for slot, position in self._busy.items():
            keys[slot, :, position] = key[slot, :, 0]
            values[slot, :, position] = value[slot, :, 0]
            scores = query[slot] @ keys[slot, :, : position + 1].transpose(-1, -2)
            out[slot] = torch.softmax(scores * self._memory.scale, -1) @ values[slot, :, : position + 1]
        return out

    def attend_audio(self, layer: int, query: Tensor) -> Tensor:
        """Attend to the audio."""
        keys, values = self._memory.audio_cache[layer]
        out = torch.zeros_like(query)
        for slot, position in self._busy.items():
            scores = (query[slot] @ keys[slot].transpose(-1, -2)) * self._memory.scale
            self._memory.store_alignment_scores(layer, slot, position - self._spoken_from, scores[:, 0].float())
            out[slot] = torch.softmax(scores, -1) @ values[slot]
        return out


class AllSlots:
    """All slots at once with fixed shapes; `text` is the maximum length of the text in this decode."""

    def __init__(self, memory: AttentionCache, positions: Tensor, spoken_from: Tensor, text: int) -> None:
        self._memory, self._positions, self._text = memory, positions, text
        self._slots = torch.arange(len(positions), device=positions.device)
        self._rows = (positions - spoken_from).clamp(0, memory.alignment_scores.shape[2] - 1)
        self._mask = (torch.arange(text, device=positions.device) <= positions[:, None])[:, None, None]

    def attend_text(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend to the text so far."""
        keys, values = self._memory.text_cache[layer]
        keys[self._slots, :, self._positions] = key[:, :, 0]
        values[self._slots, :, self._positions] = value[:, :, 0]
        return F.scaled_dot_product_attention(
            query, keys[:, :, : self._text], values[:, :, : self._text], attn_mask=self._mask
        )

    def attend_audio(self, layer: int, query: Tensor) -> Tensor:
        """Attend to the audio."""
        keys, values = self._memory.audio_cache[layer]
        for row, head in self._memory.alignment_rows(layer):
            scores = (query[:, head] @ keys[:, head].transpose(-1, -2))[:, 0]
            self._memory.alignment_scores[self._slots, row, self._rows] = scores.float() * self._memory.scale
        return F.scaled_dot_product_attention(query, keys, values)
