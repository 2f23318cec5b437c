"""The arithmetic of a Whisper model on torch, with fused projections and without Python per token or per head.

Every shape is fixed by the caller (a group of windows, a number of slots), so that a window's numbers do not depend on
its neighbours: torch picks its kernels by shape.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor
from whisper.audio import HOP_LENGTH, N_FFT, mel_filters

SelfAttention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
CrossAttention = Callable[[int, Tensor], Tensor]

_LOG_FLOOR = 1e-10
_DYNAMIC_RANGE = 8.0


class _Affine(NamedTuple):
    weight: Tensor
    bias: Tensor


class _Layer(NamedTuple):
    before_self: _Affine
    query_key_value: _Affine
    self_out: _Affine
    before_cross: _Affine | None
    cross_query: _Affine | None
    cross_key_value: _Affine | None
    cross_out: _Affine | None
    before_mlp: _Affine
    widen: _Affine
    narrow: _Affine


class Network:
    """The weights of one model on one device, in one number type, arranged for few large matrix products."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.dims, self.device, self.dtype = model.dims, device, dtype
        self.head_width = self.dims.n_text_state // self.dims.n_text_head
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        encoder, decoder = model.encoder, model.decoder
        self._filters = mel_filters(device, self.dims.n_mels)
        self._hann = torch.hann_window(N_FFT, device=device)
        self._convolutions = [
            _Affine(conv.weight.to(**place), conv.bias.to(**place)) for conv in (encoder.conv1, encoder.conv2)
        ]
        self._audio_positions = encoder.positional_embedding.to(**place)
        self._encoder = [_layer(block, place) for block in encoder.blocks]
        self._after_encoder = _norm(encoder.ln_post, place)
        self._decoder = [_layer(block, place) for block in decoder.blocks]
        self._after_decoder = _norm(decoder.ln, place)
        self._tokens = decoder.token_embedding.weight.to(**place)
        self._text_positions = decoder.positional_embedding.to(**place)

    def mel(self, audio: Tensor) -> Tensor:
        """Return log-mel spectrograms, shape (n, n_mels, 3000), of float32 audio on the device, shape (n, 480000)."""
        spectrum = torch.stft(audio, N_FFT, HOP_LENGTH, window=self._hann, return_complex=True)
        power = spectrum[..., :-1].abs() ** 2
        log = (self._filters @ power).clamp(min=_LOG_FLOOR).log10()
        # Each window's own maximum: openai-whisper's function uses the maximum of all windows.
        log = torch.maximum(log, log.amax(dim=(-2, -1), keepdim=True) - _DYNAMIC_RANGE)
        return (log + 4.0) / 4.0

    def encode(self, mel: Tensor) -> Tensor:
        """Return the encoder's output, shape (n, 1500, width)."""
        x = mel.to(self.dtype)
        x = F.gelu(F.conv1d(x, *self._convolutions[0], padding=1))
        x = F.gelu(F.conv1d(x, *self._convolutions[1], padding=1, stride=2))
        # Contiguous: sums and norms of a transposed layout take a third of the encoder's time on a GPU.
        x = x.transpose(1, 2).contiguous() + self._audio_positions
        for layer in self._encoder:
            query, key, value = self._heads(layer.query_key_value, _normed(x, layer.before_self), parts=3)
            attended = F.scaled_dot_product_attention(query, key, value)
            x = x + F.linear(_merged(attended), *layer.self_out)
            x = x + _mlp(x, layer)
        return _normed(x, self._after_encoder)

    def cross(self, layer: int, encoded: Tensor) -> Tensor:
        """Return the keys and values of a decoder layer for the audio, shape (2, n, heads, 1500, head width)."""
        projection = self._decoder[layer].cross_key_value
        assert projection is not None
        return self._heads(projection, encoded, parts=2)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Return the decoder's input for tokens at positions, of any shape but the last, which is time."""
        embedded: Tensor = self._tokens[tokens] + self._text_positions[positions]
        return embedded

    def read(self, x: Tensor, self_attention: SelfAttention, cross_attention: CrossAttention) -> Tensor:
        """Run the decoder's layers over x, shape (n, time, width); both attentions are the caller's, by layer."""
        for index, layer in enumerate(self._decoder):
            assert layer.before_cross
            assert layer.cross_query
            assert layer.cross_out
            query, key, value = self._heads(layer.query_key_value, _normed(x, layer.before_self), parts=3)
            x = x + F.linear(_merged(self_attention(index, query, key, value)), *layer.self_out)
            [query] = self._heads(layer.cross_query, _normed(x, layer.before_cross), parts=1)
            x = x + F.linear(_merged(cross_attention(index, query)), *layer.cross_out)
            x = x + _mlp(x, layer)
        return _normed(x, self._after_decoder)

    def logits(self, x: Tensor) -> Tensor:
        """Return float32 scores of all tokens for vectors of shape (n, width)."""
        return F.linear(x, self._tokens).float()

    def _heads(self, projection: _Affine, x: Tensor, *, parts: int) -> Tensor:
        projected = F.linear(x, *projection)
        shape = (*x.shape[:2], parts, -1, self.head_width)
        return projected.view(shape).permute(2, 0, 3, 1, 4)


def _layer(block: Any, place: dict[str, Any]) -> _Layer:
    crossed = block.cross_attn is not None
    cross = block.cross_attn
    return _Layer(
        before_self=_norm(block.attn_ln, place),
        query_key_value=_fused([block.attn.query, block.attn.key, block.attn.value], place),
        self_out=_fused([block.attn.out], place),
        before_cross=_norm(block.cross_attn_ln, place) if crossed else None,
        cross_query=_fused([cross.query], place) if crossed else None,
        cross_key_value=_fused([cross.key, cross.value], place) if crossed else None,
        cross_out=_fused([cross.out], place) if crossed else None,
        before_mlp=_norm(block.mlp_ln, place),
        widen=_fused([block.mlp[0]], place),
        narrow=_fused([block.mlp[2]], place),
    )


def _fused(linears: list[Any], place: dict[str, Any]) -> _Affine:
    """Fuse projections of one input; a missing bias (that of the keys) is zero."""
    weights = [linear.weight for linear in linears]
    biases = [
        linear.weight.new_zeros(linear.out_features) if linear.bias is None else linear.bias for linear in linears
    ]
    return _Affine(torch.cat(weights).to(**place), torch.cat(biases).to(**place))


def _norm(norm: Any, place: dict[str, Any]) -> _Affine:
    return _Affine(norm.weight.to(**place), norm.bias.to(**place))


def _normed(x: Tensor, norm: _Affine) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], *norm)


def _merged(heads: Tensor) -> Tensor:
    return heads.transpose(1, 2).flatten(2)


def _mlp(x: Tensor, layer: _Layer) -> Tensor:
    return F.linear(F.gelu(F.linear(_normed(x, layer.before_mlp), *layer.widen)), *layer.narrow)
