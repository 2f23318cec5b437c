"""Map weights between the names of CTranslate2 variables and of openai-whisper's state dict.

Arrays are numpy arrays on both sides and keep their type. CTranslate2 fuses query, key and value; openai-whisper's key
has no bias, which is a row of zeros in the fused one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .ctranslate2_file import Array, Variables
from .errors import ContentRefused

StateDict = dict[str, Array]

_GELU = 3
_LAYER_COUNT_LIMIT = 64
_PLAIN = (
    ("encoder/conv1/weight", "encoder.conv1.weight"),
    ("encoder/conv1/bias", "encoder.conv1.bias"),
    ("encoder/conv2/weight", "encoder.conv2.weight"),
    ("encoder/conv2/bias", "encoder.conv2.bias"),
    ("encoder/position_encodings/encodings", "encoder.positional_embedding"),
    ("encoder/layer_norm/gamma", "encoder.ln_post.weight"),
    ("encoder/layer_norm/beta", "encoder.ln_post.bias"),
    ("decoder/embeddings/weight", "decoder.token_embedding.weight"),
    ("decoder/position_encodings/encodings", "decoder.positional_embedding"),
    ("decoder/layer_norm/gamma", "decoder.ln.weight"),
    ("decoder/layer_norm/beta", "decoder.ln.bias"),
)
_LAYER_PLAIN = (
    ("self_attention/layer_norm/gamma", "attn_ln.weight"),
    ("self_attention/layer_norm/beta", "attn_ln.bias"),
    ("self_attention/linear_1/weight", "attn.out.weight"),
    ("self_attention/linear_1/bias", "attn.out.bias"),
    ("ffn/layer_norm/gamma", "mlp_ln.weight"),
    ("ffn/layer_norm/beta", "mlp_ln.bias"),
    ("ffn/linear_0/weight", "mlp.0.weight"),
    ("ffn/linear_0/bias", "mlp.0.bias"),
    ("ffn/linear_1/weight", "mlp.2.weight"),
    ("ffn/linear_1/bias", "mlp.2.bias"),
)
_CROSS_PLAIN = (
    ("attention/layer_norm/gamma", "cross_attn_ln.weight"),
    ("attention/layer_norm/beta", "cross_attn_ln.bias"),
    ("attention/linear_0/weight", "cross_attn.query.weight"),
    ("attention/linear_0/bias", "cross_attn.query.bias"),
    ("attention/linear_2/weight", "cross_attn.out.weight"),
    ("attention/linear_2/bias", "cross_attn.out.bias"),
)
_FUSED = (("self_attention/linear_0", "attn", ("query", "key", "value")),)
_CROSS_FUSED = (("attention/linear_1", "cross_attn", ("key", "value")),)
_PROJECTION_ALIAS = {"decoder/projection/weight": "decoder/embeddings/weight"}


@dataclass(frozen=True, slots=True)
class Dimensions:
    """openai-whisper's ModelDimensions, field by field."""

    n_mels: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_vocab: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int


def dimensions(variables: Variables) -> Dimensions:
    """Derive the model's dimensions from the shapes of its CTranslate2 variables."""
    arrays = variables.arrays
    try:
        vocabulary, text_state = arrays["decoder/embeddings/weight"].shape
        audio_state, n_mels, _ = arrays["encoder/conv1/weight"].shape
        return Dimensions(
            n_mels=n_mels,
            n_audio_ctx=arrays["encoder/position_encodings/encodings"].shape[0],
            n_audio_state=audio_state,
            n_audio_head=int(arrays["encoder/num_heads"]),
            n_audio_layer=_layers(arrays, "encoder"),
            n_vocab=vocabulary,
            n_text_ctx=arrays["decoder/position_encodings/encodings"].shape[0],
            n_text_state=text_state,
            n_text_head=int(arrays["decoder/num_heads"]),
            n_text_layer=_layers(arrays, "decoder"),
        )
    except KeyError as error:
        raise ContentRefused(f"The CTranslate2 model has no variable {error}.") from error


def to_state_dict(variables: Variables) -> StateDict:
    """Rename CTranslate2 variables to openai-whisper's; int8 and int16 weights become float32.

    Raises ContentRefused when a variable is missing, or the fused bias of a key is not zero.
    """
    arrays = dequantized(variables.arrays)
    state: StateDict = {}
    try:
        for ct2, openai in _pairs(_layers(arrays, "encoder"), _layers(arrays, "decoder")):
            state[openai] = arrays[ct2]
        for ct2, openai, parts in _fused(_layers(arrays, "encoder"), _layers(arrays, "decoder")):
            weights = np.split(arrays[f"{ct2}/weight"], len(parts))
            biases = np.split(arrays[f"{ct2}/bias"], len(parts))
            for part, weight, bias in zip(parts, weights, biases, strict=True):
                state[f"{openai}.{part}.weight"] = weight
                if part != "key":
                    state[f"{openai}.{part}.bias"] = bias
                elif np.any(bias):
                    raise ContentRefused(f"{ct2} has a bias on its keys, which Whisper does not have.")
    except KeyError as error:
        raise ContentRefused(f"The CTranslate2 model has no variable {error}.") from error
    return state


def to_variables(state: Mapping[str, Array], dims: Dimensions) -> Variables:
    """Rename openai-whisper's arrays to CTranslate2 variables, in the order CTranslate2's own converter writes.

    Raises ContentRefused when the state dict has other names than a Whisper model of these dimensions.
    """
    arrays = dict(_settings(dims))
    used = set()
    try:
        for ct2, openai in _pairs(dims.n_audio_layer, dims.n_text_layer):
            arrays[ct2] = state[openai]
            used.add(openai)
        for ct2, openai, parts in _fused(dims.n_audio_layer, dims.n_text_layer):
            weights = [state[f"{openai}.{part}.weight"] for part in parts]
            zeros = np.zeros_like(state[f"{openai}.value.bias"])
            biases = [zeros if part == "key" else state[f"{openai}.{part}.bias"] for part in parts]
            arrays[f"{ct2}/weight"], arrays[f"{ct2}/bias"] = np.concatenate(weights), np.concatenate(biases)
            used.update(f"{openai}.{part}.{kind}" for part in parts for kind in ("weight", "bias"))
    except KeyError as error:
        raise ContentRefused(f"The checkpoint has no tensor {error}.") from error
    if unknown := sorted(set(state) - used):
        raise ContentRefused(f"The checkpoint has tensors Whisper does not have: {', '.join(unknown[:3])}.")
    return Variables({name: arrays[name] for name in sorted(arrays)}, dict(_PROJECTION_ALIAS))


def _settings(dims: Dimensions) -> Iterator[tuple[str, Array]]:
    yield "encoder/num_heads", np.array(dims.n_audio_head, "<i2")
    yield "decoder/num_heads", np.array(dims.n_text_head, "<i2")
    yield "decoder/activation", np.array(_GELU, "i1")
    yield "decoder/pre_norm", np.array(1, "i1")
    # CTranslate2 reads alignment heads from config.json; these two say "last layer, one head" when it has none.
    yield "decoder/alignment_heads", np.array(1, "<i2")
    yield "decoder/alignment_layer", np.array(-1, "<i2")
    for flag in (
        "alibi",
        "alibi_use_positive_positions",
        "scale_alibi",
        "scale_embeddings",
        "start_from_zero_embedding",
    ):
        yield f"decoder/{flag}", np.array(0, "i1")


def _pairs(encoder_layers: int, decoder_layers: int) -> Iterator[tuple[str, str]]:
    yield from _PLAIN
    for side, layers in (("encoder", encoder_layers), ("decoder", decoder_layers)):
        for layer in range(layers):
            for ct2, openai in _LAYER_PLAIN + (_CROSS_PLAIN if side == "decoder" else ()):
                yield f"{side}/layer_{layer}/{ct2}", f"{side}.blocks.{layer}.{openai}"


def _fused(encoder_layers: int, decoder_layers: int) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for side, layers in (("encoder", encoder_layers), ("decoder", decoder_layers)):
        for layer in range(layers):
            for ct2, openai, parts in _FUSED + (_CROSS_FUSED if side == "decoder" else ()):
                yield f"{side}/layer_{layer}/{ct2}", f"{side}.blocks.{layer}.{openai}", parts


def _layers(arrays: Mapping[str, Array], side: str) -> int:
    return next(
        layer for layer in range(_LAYER_COUNT_LIMIT) if f"{side}/layer_{layer}/ffn/linear_0/weight" not in arrays
    )


def dequantized(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return a CTranslate2 model's arrays with quantised weights as float32 and without their scales."""
    plain = {}
    for name, array in arrays.items():
        scale = arrays.get(f"{name}_scale")
        if scale is None:
            plain[name] = array
        else:
            # One scale per row; int16 models have a single scale for the whole matrix.
            plain[name] = array.astype(np.float32) / (scale.reshape(-1, 1) if scale.ndim else scale)
    return plain
