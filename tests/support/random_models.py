"""Whisper models with random weights, in the shape of registered ones but narrow: what fits a test's time and disk."""

from dataclasses import asdict
from pathlib import Path

import torch
import whisper

from models import MODELS, Format, convert, location
from models.naming import Dimensions

_WORDS = 16
_FIRST_WORD = 1_000


def make(model_dir: Path, name: str, *, head_width: int = 8) -> Dimensions:
    """Bring a random model into MODEL_DIR in both forms, through the models package's own writer and converter.

    Spectrogram bins, vocabulary, the decoder's layers, heads and alignment heads are the registered model's; each head
    is narrow, and of the encoder's equal blocks there are four.
    """
    known = MODELS[name]
    width = known.heads * head_width
    dims = Dimensions(
        n_mels=known.n_mels,
        n_audio_ctx=1_500,
        n_audio_state=width,
        n_audio_head=known.heads,
        n_audio_layer=4,
        n_vocab=known.vocabulary,
        n_text_ctx=448,
        n_text_state=width,
        n_text_head=known.heads,
        n_text_layer=known.decoder_layers,
    )
    torch.manual_seed(7)
    model = whisper.model.Whisper(whisper.model.ModelDimensions(**asdict(dims)))
    with torch.no_grad():
        # Random weights would repeat one token and never find an end: each position is made to ask for a word of its
        # own instead, and the later ones for the end of the text.
        says = [_FIRST_WORD + 37 * position for position in range(_WORDS)]
        says += [50_257 if known.vocabulary >= 51_865 else 50_256] * (dims.n_text_ctx - _WORDS)
        model.decoder.positional_embedding.copy_(4 * model.decoder.token_embedding.weight[says])
    model_dir.mkdir(parents=True, exist_ok=True)
    pt = location(model_dir, name, Format.PT)
    convert.write_pt(pt, {key: tensor.numpy() for key, tensor in model.state_dict().items()}, dims)
    convert.pt_to_folder(pt, location(model_dir, name, Format.CT2), known)
    return dims
