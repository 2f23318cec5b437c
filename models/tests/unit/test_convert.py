"""Conversion between the two forms keeps every tensor as it is."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from models import MODELS, Format, convert, ctranslate2_file, default_dir, is_present
from models.ctranslate2_file import Variables
from models.errors import ContentRefused
from models.install import install
from models.naming import Dimensions, StateDict, dimensions, to_state_dict, to_variables
from models.sources import PACKAGED

# openai-whisper's tokenizer leaves its vocabulary file open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning")

SMALL = Dimensions(
    n_mels=80, n_audio_ctx=6, n_audio_state=8, n_audio_head=2, n_audio_layer=2,
    n_vocab=51_865, n_text_ctx=5, n_text_state=8, n_text_head=2, n_text_layer=3,
)  # fmt: skip


def random_state(dtype: str) -> StateDict:
    whisper = pytest.importorskip("whisper")
    torch = pytest.importorskip("torch")
    torch.manual_seed(7)
    model = whisper.model.Whisper(whisper.model.ModelDimensions(**asdict(SMALL)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return {name: tensor.numpy().astype(dtype) for name, tensor in model.state_dict().items()}


def assert_same(left: StateDict, right: StateDict) -> None:
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype, name
        np.testing.assert_array_equal(array, right[name], err_msg=name)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["<f4", "<f2"])
def test_a_checkpoint_survives_the_way_to_ctranslate2_and_back(tmp_path: Path, dtype: str) -> None:
    state = random_state(dtype)
    convert.write_pt(tmp_path / "one.pt", state, SMALL)

    convert.pt_to_folder(tmp_path / "one.pt", tmp_path / "folder")
    convert.folder_to_pt(tmp_path / "folder", tmp_path / "two.pt")

    again, dims = convert.read_pt(tmp_path / "two.pt")
    assert dims == SMALL
    assert_same(again, state)


@pytest.mark.torch
def test_a_folder_survives_the_way_to_a_checkpoint_and_back_byte_for_byte(tmp_path: Path) -> None:
    ctranslate2_file.write(tmp_path / "one.bin", to_variables(random_state("<f2"), SMALL))
    read = ctranslate2_file.read(tmp_path / "one.bin")
    ctranslate2_file.write(tmp_path / "two.bin", to_variables(to_state_dict(read), dimensions(read)))
    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "two.bin").read_bytes()


@pytest.mark.torch
def test_quantized_weights_become_floats_again() -> None:
    variables = to_variables(random_state("<f4"), SMALL)
    name = "encoder/layer_0/ffn/linear_0/weight"
    original = variables.arrays[name]
    scale = (127 / np.abs(original).max(axis=1)).astype(np.float32)
    arrays = {**variables.arrays, name: np.round(original * scale[:, None]).astype(np.int8), f"{name}_scale": scale}
    restored = to_state_dict(Variables(arrays))["encoder.blocks.0.mlp.0.weight"]
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, original, atol=float(1 / scale.min()))


@pytest.mark.torch
def test_a_checkpoint_of_another_architecture_is_refused() -> None:
    state = random_state("<f4")
    with pytest.raises(ContentRefused, match="does not have: adapter"):
        to_variables(state | {"adapter.weight": np.zeros(3, np.float32)}, SMALL)
    state.pop("decoder.ln.bias")
    with pytest.raises(ContentRefused, match="has no tensor"):
        to_variables(state, SMALL)


@pytest.mark.torch
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "base.pt").write_bytes(b"\x80 nothing of the kind")
    with pytest.raises(ContentRefused, match="is not a checkpoint"):
        convert.read_pt(tmp_path / "base.pt")


@pytest.mark.torch
def test_a_model_of_another_shape_is_refused_under_a_registered_name(tmp_path: Path) -> None:
    convert.write_pt(tmp_path / "mine.pt", random_state("<f2"), SMALL)
    with pytest.raises(ContentRefused, match="does not have the shape of base"):
        install(MODELS["base"], tmp_path / "models", [Format.PT], print, path=tmp_path / "mine.pt")


@pytest.fixture(scope="module")
def base_folder() -> Path:
    if not is_present(default_dir(), "base", Format.CT2):
        pytest.skip("base is not in MODEL_DIR: python -m models get base")
    return default_dir() / "base"


@pytest.mark.weights
@pytest.mark.torch
def test_the_real_base_model_survives_both_ways_and_brings_its_own_vocabulary(
    base_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("whisper")
    convert.folder_to_pt(base_folder, tmp_path / "base.pt")
    convert.pt_to_folder(tmp_path / "base.pt", tmp_path / "again", MODELS["base"])

    assert hashlib.sha256((tmp_path / "again/model.bin").read_bytes()).hexdigest() == PACKAGED["base"].model_bin_sha256
    for name in ("vocabulary.json", "config.json"):
        assert json.loads((tmp_path / "again" / name).read_text()) == json.loads((base_folder / name).read_text())
    state, dims = convert.read_pt(tmp_path / "base.pt")
    assert convert.matches(dims, MODELS["base"])
    assert_same(to_state_dict(ctranslate2_file.read(base_folder / "model.bin")), state)


@pytest.mark.weights
@pytest.mark.torch
def test_openai_whisper_loads_the_converted_base_model(base_folder: Path, tmp_path: Path) -> None:
    whisper = pytest.importorskip("whisper")
    convert.folder_to_pt(base_folder, tmp_path / "base.pt")
    model = whisper.load_model(str(tmp_path / "base.pt"), device="cpu")
    assert model.is_multilingual
