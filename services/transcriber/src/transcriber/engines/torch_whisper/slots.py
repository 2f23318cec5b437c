"""The decoder's slots: windows enter in groups, each step decodes one token of every window, finished windows leave.

The slot of a finished window is free at once, so that short texts do not wait for a long one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention_cache import AllSlots, AttentionCache, Heads, SlotBySlot, Step
from .network import Network
from .search import Search

_LONGEST_TEXT = 224
_ROWS = 232
"""For <|startoftranscript|>, language, task and <|notimestamps|>, the longest text, its end, and a reserve."""
_SHORT_CONTEXT = 256
_GRAPH_WARM_UPS = 2


@dataclass(frozen=True, eq=False)
class DecodedSlot:
    """A window's text tokens with their probabilities, and the scores for the alignment, which stay on the device.

    `alignment_scores` has shape (alignment head, row, 1500), one row per token from <|startoftranscript|> to the end.
    """

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    avg_logprob: float
    no_speech_prob: float
    alignment_scores: Tensor


def bytes_per_slot(network: Network, heads: int) -> int:
    """Return the device memory of one slot in bytes."""
    dims = network.dims
    cached = 2 * dims.n_text_layer * dims.n_text_state * (dims.n_text_ctx + dims.n_audio_ctx)
    return int(cached * network.dtype.itemsize + heads * _ROWS * dims.n_audio_ctx * torch.float32.itemsize)


class Slots:
    """A fixed number of slots, decoded greedily together under one search at a time."""

    def __init__(self, network: Network, count: int, heads: Heads) -> None:
        self.count = count
        self._network = network
        self._memory = AttentionCache(network, count, _ROWS, heads)
        self._busy: set[int] = set()
        self._search: Search | None = None
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        on: dict[str, Any] = {"device": network.device}
        self._token = torch.zeros(count, dtype=torch.long, **on)
        self._position = torch.zeros(count, dtype=torch.long, **on)
        self._lengths = torch.zeros(count, dtype=torch.long, **on)
        self._ended = torch.ones(count, dtype=torch.bool, **on)
        self._done = torch.ones(count, dtype=torch.bool, **on)
        self._logprob = torch.zeros(count, **on)
        self._no_speech = torch.zeros(count, **on)
        self._tokens = torch.zeros(count, _LONGEST_TEXT + 1, dtype=torch.long, **on)
        self._probabilities = torch.zeros(count, _LONGEST_TEXT + 1, **on)
        # A captured graph reads these at fixed addresses, so that every search can use it.
        self._forbidden = torch.zeros(network.dims.n_vocab, **on)
        self._end_of_text = torch.zeros((), dtype=torch.long, **on)
        self._longest = torch.zeros((), dtype=torch.long, **on)
        self._spoken_from = torch.zeros((), dtype=torch.long, **on)
        self._is_text = torch.zeros(network.dims.n_vocab, **on)
        self._kernels = _kernels(self._memory, self._position, self._spoken_from, self._done)

    @property
    def free(self) -> list[int]:
        """The slots without a window, in order."""
        return [slot for slot in range(self.count) if slot not in self._busy]

    def begin(self, search: Search) -> None:
        """Empty all slots and use this search from now on."""
        self._busy.clear()
        self._done.fill_(True)
        self._ended.fill_(True)
        self._search = search
        self._forbidden.copy_(search.later)
        self._end_of_text.fill_(search.end_of_text)
        self._longest.fill_(search.longest)
        self._spoken_from.fill_(search.spoken_from)
        self._is_text.zero_()[: search.end_of_text] = 1.0

    def admit(self, encoded: Tensor, slots: Sequence[int]) -> None:
        """Put the first windows of an encoded group into slots; the rest of the group only fills its shape."""
        search = self._search
        assert search is not None
        count, where = len(slots), torch.tensor(slots, device=encoded.device)
        x = self._memory.start(encoded, search.start, slots, search.spoken_from)
        silent = self._network.logits(x[:, search.spoken_from]).softmax(-1)[:count, search.no_speech]
        token, logprob, probability = self._choose(self._network.logits(x[:, -1]), search.first)
        self._token[where] = token[:count]
        self._position[where] = len(search.start)
        self._lengths[where] = 1
        self._ended[where] = False
        self._done[where] = False
        self._logprob[where] = logprob[:count]
        self._no_speech[where] = silent
        self._tokens[where, 0] = token[:count]
        self._probabilities[where, 0] = probability[:count]
        self._busy.update(slots)

    def step(self) -> None:
        """Decode the next token of every window."""
        assert self._search is not None
        if self._network.device.type == "cpu":
            positions = self._position.tolist()
            busy = {slot: positions[slot] for slot in sorted(self._busy)}
            self._advance(SlotBySlot(self._memory, busy, self._search.spoken_from))
            return
        needed = len(self._search.start) + self._search.longest + 1
        # Our own kernels stop at the end of the text; other ones read the whole context.
        text = _SHORT_CONTEXT if self._kernels is None and needed <= _SHORT_CONTEXT else self._network.dims.n_text_ctx
        if text not in self._graphs:
            self._graphs[text] = self._captured(text)
        self._graphs[text].replay()

    def done(self) -> list[int]:
        """The slots whose windows are finished; waits for the device."""
        flags = self._done.tolist()
        return [slot for slot in sorted(self._busy) if flags[slot]]

    def take(self, slots: Sequence[int]) -> list[DecodedSlot]:
        """Remove finished windows from their slots and return their results."""
        assert self._search is not None
        where = torch.tensor(slots, device=self._network.device)
        # One transfer for all values; integers of this size are exact in float32.
        scores = torch.stack([self._lengths[where], self._logprob[where], self._no_speech[where]], dim=1)
        found = torch.cat([scores, self._probabilities[where], self._tokens[where]], dim=1).tolist()
        taken = []
        for index, slot in enumerate(slots):
            [count, logprob, silent], chances = found[index][:3], found[index][3:]
            length = int(count)
            rows = min(self._search.aligned_from + 1 + length + 1, _ROWS)
            taken.append(
                DecodedSlot(
                    tokens=tuple(int(token) for token in chances[_LONGEST_TEXT + 1 :][:length]),
                    probabilities=tuple(chances[:length]),
                    avg_logprob=logprob / (length + 1),
                    no_speech_prob=silent,
                    alignment_scores=self._memory.alignment_scores[slot, :, :rows].clone(),
                )
            )
            self._busy.discard(slot)
        return taken

    def _captured(self, text: int) -> torch.cuda.CUDAGraph:
        """Capture one step as a graph: the launches of its hundreds of kernels take longer than their execution."""
        kept = [state.clone() for state in self._states]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_GRAPH_WARM_UPS):
                self._advance_all(text)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Allocations of other threads must not fail this capture.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._advance_all(text)
        for state, before in zip(self._states, kept, strict=True):
            state.copy_(before)
        return graph

    @property
    def _states(self) -> list[Tensor]:
        return [self._token, self._position, self._lengths, self._ended, self._done, self._logprob]

    def _advance_all(self, text: int) -> None:
        self._position.clamp_(max=text - 1)
        self._advance(self._kernels or AllSlots(self._memory, self._position, self._spoken_from, text))

    def _advance(self, attention: Step) -> None:
        x = self._network.embed(self._token[:, None], self._position[:, None])
        x = self._network.read(x, attention.attend_text, attention.attend_audio)
        token, logprob, probability = self._choose(self._network.logits(x[:, 0]), self._forbidden)
        # A window is done when its end token has been decoded too: the alignment needs that row.
        self._done.copy_(self._ended)
        full = self._lengths >= self._longest
        ends = self._ended | full | (token == self._end_of_text)
        self._logprob.add_(torch.where(self._ended | full, 0.0, logprob))
        token = torch.where(ends, self._end_of_text, token)
        here = self._lengths.clamp(max=_LONGEST_TEXT)[:, None]
        self._tokens.scatter_(1, here, torch.where(ends[:, None], self._tokens.gather(1, here), token[:, None]))
        self._probabilities.scatter_(
            1, here, torch.where(ends[:, None], self._probabilities.gather(1, here), probability[:, None])
        )
        self._lengths.add_((~ends).long())
        self._ended.copy_(ends)
        self._token.copy_(token)
        self._position.add_(1).clamp_(max=self._network.dims.n_text_ctx - 1)

    def _choose(self, scores: Tensor, forbidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the most probable allowed tokens, their log probability, and their share among all text tokens."""
        best, token = (scores + forbidden).max(-1)
        weights = (scores - scores.amax(-1, keepdim=True)).exp_()
        allowed = weights @ (forbidden == 0).float()
        chosen = (best - scores.amax(-1)).exp()
        return token, (chosen / allowed).log(), chosen / (weights @ self._is_text)


def own_kernels() -> bool:
    """Whether our own kernels compute the attention of a step on this machine's GPU."""
    try:
        from . import kernels  # noqa: PLC0415 (imports Triton, which only torch for GPUs brings)
    except ImportError:
        return False
    return kernels.usable()


def _kernels(memory: AttentionCache, positions: Tensor, spoken_from: Tensor, done: Tensor) -> Step | None:
    """Return our own kernels for the attention of a step, if they can be built."""
    if positions.device.type == "cpu" or not own_kernels():
        return None
    from . import kernels  # noqa: PLC0415 (imports Triton, which only torch for GPUs brings)

    return kernels.Kernels(memory, positions, spoken_from, done)
