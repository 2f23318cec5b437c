"""Load a model's weights from its `.pt` file, and its alignment heads."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import whisper

from models import MODELS
from transcriber.engines.base import ModelUnavailable

_MOST_HEADS = 20


def load(pt: Path, name: str) -> tuple[Any, list[tuple[int, int]]]:
    """Return openai-whisper's model in single precision, and its alignment heads as (layer, head)."""
    try:
        model = whisper.load_model(str(pt), device="cpu")
    except (OSError, RuntimeError, KeyError, TypeError, UnpicklingError) as error:
        raise ModelUnavailable(f"{pt} cannot be loaded: {error}") from error
    known = MODELS.get(name)
    if known is not None:
        heads = sorted(known.alignment_heads)
    else:
        # A state dict does not contain them; heads of the later layers give less exact times.
        layers, width = model.dims.n_text_layer, model.dims.n_text_head
        heads = [(layer, head) for layer in range(layers // 2, layers) for head in range(width)][-_MOST_HEADS:]
    chosen = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
    chosen[tuple(zip(*heads, strict=True))] = True
    model.register_buffer("alignment_heads", chosen.to_sparse(), persistent=False)
    return model, heads


def to_half_precision(model: Any) -> Any:
    """Convert a model's weights to half precision, except layer norms, which compute in single precision."""
    for module in model.modules():
        if not isinstance(module, torch.nn.LayerNorm):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.half()
    return model


def dtype_for(device: torch.device) -> torch.dtype:
    """Return the fastest number type of the device that does not degrade the text."""
    if device.type == "cuda":
        return torch.float16
    abilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else torch.float32
