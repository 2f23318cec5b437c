"""Whisper's encoder on OpenVINO, for CPUs: bfloat16 where the processor supports it, float32 elsewhere.

It is built from a CTranslate2 folder's weights, without torch. The graph is stored beside the models. Each window is
encoded alone, so that its result does not depend on others.
"""

import hashlib
import shutil
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13 as op

from models import ctranslate2_file
from models.naming import dequantized

from .features import Features

Precision = Literal["bfloat16", "float32"]

_VERSION = openvino.__version__.partition("-")[0]
GRAPHS = ".encoders"
_GRAPH_VERSION = 1
_HINTS = {"bfloat16": "bf16", "float32": "f32"}
_EPSILON = 1e-5
_MOST_KEPT = 4  # encoded windows, 3 to 8 MB each


def best_precision() -> Precision:
    """Return the fastest precision of this processor; bfloat16 only if the hardware computes it."""
    return "bfloat16" if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "float32"


class OpenVINOEncoder:
    """One model's encoder with `threads` threads."""

    def __init__(self, folder: Path, digest: str, *, precision: Precision, threads: int) -> None:
        core = openvino.Core()
        self.precision, self.version = precision, _VERSION
        self._compiled = core.compile_model(
            _graph(core, folder, digest),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                # With pinning, all processes of a machine would use the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = self._compiled.create_infer_request()
        self._shape = tuple(self._compiled.output(0).shape)[1:]
        self._kept: OrderedDict[bytes, Features] = OrderedDict()
        self.inferences = 0

    def encode(self, spectrograms: Sequence[Features], *, keep: bool = False) -> Features:
        """Encode spectrograms of shape (n_mels, 3000) into an array of shape (windows, 1500, width).

        With `keep` the outputs of the last windows stay in memory until the same windows are encoded again without it:
        language detection encodes a window that is decoded soon after, and the encoder is half of that work.
        """
        encoded = np.empty((len(spectrograms), *self._shape), np.float32)
        for index, spectrogram in enumerate(spectrograms):
            key = hashlib.sha256(spectrogram.tobytes()).digest()
            kept = self._kept.pop(key, None)
            if kept is None:
                self.inferences += 1
                kept = self._request.infer({0: spectrogram[None]}, share_inputs=True, share_outputs=True)[0][0]
            encoded[index] = kept
            if keep:
                self._kept[key] = encoded[index].copy()
                if len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
        return encoded


def _graph(core: openvino.Core, folder: Path, digest: str) -> openvino.Model:
    """Read the stored graph, or build it and store it if MODEL_DIR is writable."""
    name = hashlib.sha256(f"{_GRAPH_VERSION} {_VERSION} {digest}".encode()).hexdigest()[:32]
    kept = folder.parent / GRAPHS / name
    if not kept.is_dir():
        built = build(ctranslate2_file.read(folder / "model.bin").arrays)
        try:
            _keep(built, kept)
        except OSError:
            return built
    return core.read_model(kept / "encoder.xml")


def _keep(graph: openvino.Model, place: Path) -> None:
    """Store the graph in one step; if another process was faster, its equal graph stays."""
    place.parent.mkdir(exist_ok=True)
    scratch = Path(mkdtemp(dir=place.parent, prefix=".building-"))
    try:
        openvino.save_model(graph, scratch / "encoder.xml", compress_to_fp16=False)
        scratch.chmod(0o755)
        try:
            scratch.rename(place)
        except OSError:
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def build(variables: Mapping[str, npt.NDArray[Any]]) -> openvino.Model:
    """Build the encoder's graph from a CTranslate2 model's variables: (1, n_mels, 3000) to (1, 1500, width)."""
    weights = dequantized({name: array for name, array in variables.items() if name.startswith("encoder/")})
    positions = weights["encoder/position_encodings/encodings"]
    mel = op.parameter([1, weights["encoder/conv1/weight"].shape[1], 2 * len(positions)], np.float32)
    graph = _Blocks(weights, width=positions.shape[1], heads=int(weights["encoder/num_heads"]))
    x = graph.convolution(graph.convolution(mel, "encoder/conv1", stride=1), "encoder/conv2", stride=2)
    x = op.add(op.transpose(x, op.constant([0, 2, 1])), graph.constant("encoder/position_encodings/encodings"))
    layer = 0
    while f"encoder/layer_{layer}/ffn/linear_0/weight" in weights:
        x = graph.block(x, f"encoder/layer_{layer}")
        layer += 1
    return openvino.Model([graph.norm(x, "encoder/layer_norm")], [mel], "whisper-encoder")


class _Blocks:
    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], *, width: int, heads: int) -> None:
        self._weights, self._width, self._heads = weights, width, heads

    def constant(self, name: str) -> Any:
        """Half-precision weights stay in half precision in the file; compilation converts them."""
        array = np.ascontiguousarray(self._weights[name])
        constant = op.constant(array)
        return constant if array.dtype == np.float32 else op.convert(constant, "f32")

    def convolution(self, x: Any, name: str, *, stride: int) -> Any:
        convolved = op.convolution(x, self.constant(f"{name}/weight"), [stride], [1], [1], [1])
        bias = op.reshape(self.constant(f"{name}/bias"), op.constant([1, self._width, 1]), False)
        return op.gelu(op.add(convolved, bias), "erf")

    def norm(self, x: Any, name: str) -> Any:
        normal = op.mvn(x, op.constant([-1]), True, _EPSILON, "inside_sqrt")
        return op.add(op.multiply(normal, self.constant(f"{name}/gamma")), self.constant(f"{name}/beta"))

    def block(self, x: Any, name: str) -> Any:
        x = op.add(x, self._attention(self.norm(x, f"{name}/self_attention/layer_norm"), f"{name}/self_attention"))
        wide = op.gelu(self._linear(self.norm(x, f"{name}/ffn/layer_norm"), f"{name}/ffn/linear_0"), "erf")
        return op.add(x, self._linear(wide, f"{name}/ffn/linear_1"))

    def _attention(self, x: Any, name: str) -> Any:
        fused = op.split(self._linear(x, f"{name}/linear_0"), op.constant(2), 3)
        query, key, value = (self._by_head(fused.output(part)) for part in range(3))
        attended = op.scaled_dot_product_attention(query, key, value)
        together = op.reshape(op.transpose(attended, op.constant([0, 2, 1, 3])), op.constant([0, 0, self._width]), True)
        return self._linear(together, f"{name}/linear_1")

    def _by_head(self, x: Any) -> Any:
        shape = op.constant([0, 0, self._heads, self._width // self._heads])
        return op.transpose(op.reshape(x, shape, True), op.constant([0, 2, 1, 3]))

    def _linear(self, x: Any, name: str) -> Any:
        return op.add(op.matmul(x, self.constant(f"{name}/weight"), False, True), self.constant(f"{name}/bias"))
