"""The parameters of one decode as tensors: its first tokens, and the tokens it must not use."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingTask


@dataclass(frozen=True, eq=False)
class Search:
    """A greedy decode without timestamp tokens, set up by openai-whisper's own rules.

    `start` are the first tokens, prompt included; `spoken_from` is the index of <|startoftranscript|> among them,
    `audible_from` that of the token whose prediction is the first word. `first` and `later` are added to the scores of
    all tokens: 0 or minus infinity.
    """

    start: Tensor
    spoken_from: int
    first: Tensor
    later: Tensor
    longest: int
    end_of_text: int
    no_speech: int

    @property
    def audible_from(self) -> int:
        """The index of the last token of `start`."""
        return len(self.start) - 1

    @property
    def aligned_from(self) -> int:
        """How many tokens lie between the start of the transcript and that whose prediction is the first word."""
        return self.audible_from - self.spoken_from

    @classmethod
    def of(cls, model: Any, options: DecodingOptions, device: torch.device) -> "Search":
        """Take the rules from openai-whisper's own task for these options."""
        task = DecodingTask(model, options)
        masks = []
        for length in (0, 1):
            scores = torch.zeros(1, model.dims.n_vocab)
            tokens = torch.zeros(1, task.sample_begin + length, dtype=torch.long)
            for rule in task.logit_filters:
                rule.apply(scores, tokens)
            masks.append(scores[0].to(device))
        context = model.dims.n_text_ctx - task.sample_begin + 1
        return cls(
            start=torch.tensor(task.initial_tokens, device=device),
            spoken_from=task.sot_index,
            first=masks[0],
            later=masks[1],
            longest=min(task.sample_len, context),
            end_of_text=task.tokenizer.eot,
            no_speech=task.tokenizer.no_speech,
        )
