"""Convert a model between its forms, CTranslate2 folder and openai-whisper `.pt`, tensor by tensor."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import ctranslate2_file
from .errors import ContentRefused, ToolMissing
from .naming import Dimensions, StateDict, dimensions, to_state_dict, to_variables
from .registry import Model

_MULTILINGUAL_VOCABULARY = 51_865


def torch_is_installed() -> bool:
    """Whether `.pt` files can be read and written here."""
    return all(importlib.util.find_spec(module) for module in ("torch", "whisper"))


def folder_to_pt(folder: Path, pt: Path) -> None:
    """Write the `.pt` that openai-whisper's `load_model` reads from a CTranslate2 folder.

    Half-precision weights stay half precision, quantised ones become float32.
    """
    variables = ctranslate2_file.read(folder / "model.bin")
    write_pt(pt, to_state_dict(variables), dimensions(variables))


def pt_to_folder(pt: Path, folder: Path, model: Model | None = None) -> None:
    """Write the folder that CTranslate2 loads from a `.pt`; `model`, if registered, gives the alignment heads."""
    state, dims = read_pt(pt)
    folder.mkdir(parents=True, exist_ok=True)
    ctranslate2_file.write(folder / "model.bin", to_variables(state, dims))
    vocabulary, config = _vocabulary(dims), _config(dims, model)
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def read_pt(pt: Path) -> tuple[StateDict, Dimensions]:
    """Read an openai-whisper checkpoint without running code from it.

    Raises ContentRefused when it is no checkpoint, ToolMissing without torch.
    """
    torch = _torch()
    try:
        checkpoint = torch.load(pt, map_location="cpu", weights_only=True)
        dims = Dimensions(**checkpoint["dims"])
        state = {name: _to_array(tensor) for name, tensor in checkpoint["model_state_dict"].items()}
    except Exception as error:
        # torch raises many types for damaged files, for example pickle and zip errors.
        raise ContentRefused(f"{pt} is not a checkpoint of openai-whisper: {error}") from error
    return state, dims


def write_pt(pt: Path, state: StateDict, dims: Dimensions) -> None:
    """Write an openai-whisper checkpoint."""
    torch = _torch()
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    torch.save({"dims": asdict(dims), "model_state_dict": tensors}, pt)


def matches(dims: Dimensions, model: Model) -> bool:
    """Whether a model of these dimensions can be the registered one."""
    return (
        dims.n_mels == model.n_mels
        and dims.n_vocab == model.vocabulary
        and (dims.n_audio_state, dims.n_audio_layer) == (model.width, model.encoder_layers)
        and (dims.n_text_state, dims.n_text_layer) == (model.width, model.decoder_layers)
    )


def folder_dimensions(folder: Path) -> Dimensions:
    """The dimensions of the model in a CTranslate2 folder."""
    return dimensions(ctranslate2_file.read(folder / "model.bin"))


def _to_array(tensor: Any) -> Any:
    torch = _torch()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).contiguous().numpy()


def _torch() -> Any:
    if not torch_is_installed():
        raise ToolMissing("Reading and writing .pt files needs torch and openai-whisper: install the extra 'torch'.")
    import torch  # noqa: PLC0415 (heavy and optional: loaded only for a .pt file)

    return torch


def _tokenizer(dims: Dimensions) -> Any:
    from whisper.tokenizer import get_tokenizer  # noqa: PLC0415 (part of the optional torch extra)

    multilingual = dims.n_vocab >= _MULTILINGUAL_VOCABULARY
    return get_tokenizer(multilingual, num_languages=dims.n_vocab - 51_765 - int(multilingual))


def _vocabulary(dims: Dimensions) -> list[str]:
    """Write each token's bytes as the printable characters that GPT-2's byte-level vocabularies use."""
    encoding = _tokenizer(dims).encoding
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) if byte in printable else chr(256 + others.index(byte)) for byte in range(256)}
    special = {number: name for name, number in encoding._special_tokens.items()}
    return [
        special[token]
        if token in special
        else "".join(letters[byte] for byte in encoding.decode_single_token_bytes(token))
        for token in range(dims.n_vocab)
    ]


def _config(dims: Dimensions, model: Model | None) -> dict[str, object]:
    tokenizer = _tokenizer(dims)
    if model is not None:
        heads = model.alignment_heads
    else:
        layers = range(dims.n_text_layer // 2, dims.n_text_layer)
        heads = tuple((layer, head) for layer in layers for head in range(dims.n_text_head))
    control = {tokenizer.sot, tokenizer.translate, tokenizer.transcribe}
    control |= {tokenizer.sot_lm, tokenizer.sot_prev, tokenizer.no_speech}
    return {
        "alignment_heads": [list(pair) for pair in heads],
        "lang_ids": sorted(tokenizer.all_language_tokens),
        "suppress_ids": sorted(control.union(tokenizer.non_speech_tokens)),
        "suppress_ids_begin": [*tokenizer.encoding.encode(" "), tokenizer.eot],
    }
