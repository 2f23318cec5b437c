"""The decoder's slots: windows enter in groups, every step gives each of them its next token, finished ones leave.

A finished window's slot is free for the next one at once, so a long text never keeps short ones waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .memory import AllSlots, Heads, Memory, SlotBySlot, Step
from .network import Network
from .search import Search

_LONGEST_TEXT = 224
_ROWS = 232
"""Of <|startoftranscript|>, language, task and <|notimestamps|>, the longest text, its end, and some air."""
_SHORT_CONTEXT = 256
_GRAPH_WARM_UPS = 2


@dataclass(frozen=True, eq=False)
class Spoken:
    """What a window says: text tokens with their probabilities, and what alignment needs (`followed`, on the device).

    `followed` has shape (alignment head, row, 1500), with one row for each token from <|startoftranscript|> to the end.
    """

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    avg_logprob: float
    no_speech_prob: float
    followed: Tensor


def bytes_per_slot(network: Network, heads: int) -> int:
    """Return what one slot takes of the device's memory."""
    dims = network.dims
    remembered = 2 * dims.n_text_layer * dims.n_text_state * (dims.n_text_ctx + dims.n_audio_ctx)
    return int(remembered * network.dtype.itemsize + heads * _ROWS * dims.n_audio_ctx * torch.float32.itemsize)


class Slots:
    """A fixed number of slots, decoded greedily together under one search at a time."""

    def __init__(self, network: Network, count: int, heads: Heads) -> None:
        self.count = count
        self._network = network
        self._memory = Memory(network, count, _ROWS, heads)
        self._busy: set[int] = set()
        self._search: Search | None = None
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        on: dict[str, Any] = {"device": network.device}
        self._token = torch.zeros(count, dtype=torch.long, **on)
        self._position = torch.zeros(count, dtype=torch.long, **on)
        self._said = torch.zeros(count, dtype=torch.long, **on)
        self._ended = torch.ones(count, dtype=torch.bool, **on)
        self._done = torch.ones(count, dtype=torch.bool, **on)
        self._logprob = torch.zeros(count, **on)
        self._no_speech = torch.zeros(count, **on)
        self._tokens = torch.zeros(count, _LONGEST_TEXT + 1, dtype=torch.long, **on)
        self._probabilities = torch.zeros(count, _LONGEST_TEXT + 1, **on)
        # A captured graph reads these where they are, so that every search can use it.
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
        """Empty all slots and decode under this search from now on."""
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
        self._said[where] = 1
        self._ended[where] = False
        self._done[where] = False
        self._logprob[where] = logprob[:count]
        self._no_speech[where] = silent
        self._tokens[where, 0] = token[:count]
        self._probabilities[where, 0] = probability[:count]
        self._busy.update(slots)

    def step(self) -> None:
        """Give every window in a slot its next token."""
        assert self._search is not None
        if self._network.device.type == "cpu":
            positions = self._position.tolist()
            busy = {slot: positions[slot] for slot in sorted(self._busy)}
            self._advance(SlotBySlot(self._memory, busy, self._search.spoken_from))
            return
        needed = len(self._search.start) + self._search.longest + 1
        # Kernels of our own read no further than the text goes; other ones read all that there is room for.
        text = _SHORT_CONTEXT if self._kernels is None and needed <= _SHORT_CONTEXT else self._network.dims.n_text_ctx
        if text not in self._graphs:
            self._graphs[text] = self._captured(text)
        self._graphs[text].replay()

    def done(self) -> list[int]:
        """The slots whose windows are finished; waits for the device."""
        flags = self._done.tolist()
        return [slot for slot in sorted(self._busy) if flags[slot]]

    def take(self, slots: Sequence[int]) -> list[Spoken]:
        """Take finished windows out of their slots."""
        assert self._search is not None
        where = torch.tensor(slots, device=self._network.device)
        # One transfer for all of it; whole numbers of this size are exact in float32.
        scores = torch.stack([self._said[where], self._logprob[where], self._no_speech[where]], dim=1)
        found = torch.cat([scores, self._probabilities[where], self._tokens[where]], dim=1).tolist()
        taken = []
        for index, slot in enumerate(slots):
            [said, logprob, silent], chances = found[index][:3], found[index][3:]
            length = int(said)
            rows = min(self._search.aligned_from + 1 + length + 1, _ROWS)
            taken.append(
                Spoken(
                    tokens=tuple(int(token) for token in chances[_LONGEST_TEXT + 1 :][:length]),
                    probabilities=tuple(chances[:length]),
                    avg_logprob=logprob / (length + 1),
                    no_speech_prob=silent,
                    followed=self._memory.followed[slot, :, :rows].clone(),
                )
            )
            self._busy.discard(slot)
        return taken

    def _captured(self, text: int) -> torch.cuda.CUDAGraph:
        """Record one step as a graph: launching its hundreds of kernels one by one takes longer than running them."""
        kept = [state.clone() for state in self._states]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_GRAPH_WARM_UPS):
                self._advance_all(text)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may allocate or wait meanwhile; that is no business of this recording.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._advance_all(text)
        for state, before in zip(self._states, kept, strict=True):
            state.copy_(before)
        return graph

    @property
    def _states(self) -> list[Tensor]:
        return [self._token, self._position, self._said, self._ended, self._done, self._logprob]

    def _advance_all(self, text: int) -> None:
        self._position.clamp_(max=text - 1)
        self._advance(self._kernels or AllSlots(self._memory, self._position, self._spoken_from, text))

    def _advance(self, attention: Step) -> None:
        x = self._network.embed(self._token[:, None], self._position[:, None])
        x = self._network.read(x, attention.own, attention.heard)
        token, logprob, probability = self._choose(self._network.logits(x[:, 0]), self._forbidden)
        # A window is done when its end has been read too: alignment wants that row.
        self._done.copy_(self._ended)
        full = self._said >= self._longest
        ends = self._ended | full | (token == self._end_of_text)
        self._logprob.add_(torch.where(self._ended | full, 0.0, logprob))
        token = torch.where(ends, self._end_of_text, token)
        here = self._said.clamp(max=_LONGEST_TEXT)[:, None]
        self._tokens.scatter_(1, here, torch.where(ends[:, None], self._tokens.gather(1, here), token[:, None]))
        self._probabilities.scatter_(
            1, here, torch.where(ends[:, None], self._probabilities.gather(1, here), probability[:, None])
        )
        self._said.add_((~ends).long())
        self._ended.copy_(ends)
        self._token.copy_(token)
        self._position.add_(1).clamp_(max=self._network.dims.n_text_ctx - 1)

    def _choose(self, scores: Tensor, forbidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the likeliest allowed tokens, their log probability, and their probability among all text tokens."""
        best, token = (scores + forbidden).max(-1)
        weights = (scores - scores.amax(-1, keepdim=True)).exp_()
        allowed = weights @ (forbidden == 0).float()
        chosen = (best - scores.amax(-1)).exp()
        return token, (chosen / allowed).log(), chosen / (weights @ self._is_text)


def own_kernels() -> bool:
    """Whether a step's attention on this machine's GPU is computed by kernels of our own."""
    try:
        from . import kernels  # noqa: PLC0415 (imports Triton, which only torch for GPUs brings)
    except ImportError:
        return False
    return kernels.usable()


def _kernels(memory: Memory, positions: Tensor, spoken_from: Tensor, done: Tensor) -> Step | None:
    """Return the step's attentions as GPU kernels where they can be built."""
    if positions.device.type == "cpu" or not own_kernels():
        return None
    from . import kernels  # noqa: PLC0415 (imports Triton, which only torch for GPUs brings)

    return kernels.Kernels(memory, positions, spoken_from, done)
