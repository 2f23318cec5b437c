"""Models of any published shape with random weights: at a fixed number of tokens, as fast as real ones."""

import dataclasses
from typing import Any

import numpy as np
import torch
from whisper.model import ModelDimensions, Whisper

from models import MODELS
from transcriber.engines.base import DecodeOptions, Window
from transcriber.engines.hypothesis import Hypothesis
from transcriber.engines.openai_whisper import OpenAIWhisperEngine
from transcriber.engines.torch_whisper.search import Search

TOKENS = 100
"""Per window of 30 s: about 150 spoken words a minute."""


class FixedLength(OpenAIWhisperEngine):
    """Decodes exactly TOKENS tokens per window without fallbacks: random weights would not end or end at once."""

    def _search(self, options: DecodeOptions) -> Search:
        search = super()._search(options)
        for mask in (search.first, search.later):
            mask[search.end_of_text] = -torch.inf
        return dataclasses.replace(search, longest=TOKENS)

    @staticmethod
    def _is_uncertain(text: Hypothesis) -> bool:  # noqa: ARG004 (the engine's)
        return False


def invented(name: str) -> Any:
    """Return openai-whisper's model of that shape in half precision on the card."""
    shape = MODELS[name]
    dims = ModelDimensions(
        n_mels=shape.n_mels,
        n_audio_ctx=1500,
        n_audio_state=shape.width,
        n_audio_head=shape.heads,
        n_audio_layer=shape.encoder_layers,
        n_vocab=shape.vocabulary,
        n_text_ctx=448,
        n_text_state=shape.width,
        n_text_head=shape.heads,
        n_text_layer=shape.decoder_layers,
    )
    torch.manual_seed(1)
    with torch.device("cuda"):
        model = Whisper(dims)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.02)
    return model.eval()


def engine(name: str, slots: int) -> FixedLength:
    """Return our engine with random weights."""
    heads = sorted(MODELS[name].alignment_heads)
    return FixedLength(invented(name), heads, name=name, sha256="invented", device="cuda", slots=slots)


def noise(count: int, *, seconds: float = 30.0) -> list[Window]:
    """Return windows of noise."""
    random = np.random.default_rng(5)
    return [random.normal(0, 0.05, int(16_000 * seconds)).astype(np.float32) for _ in range(count)]
