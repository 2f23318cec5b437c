"""The encoder on OpenVINO gives openai-whisper's output for every model layout, and is built once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models import MODELS, Format, default_dir, digest, is_present, location
from transcriber.engines import create
from transcriber.engines.base import DecodeOptions
from transcriber.engines.features import Features, log_mel

pytest.importorskip("openvino")
pytest.importorskip("torch")

import torch
import whisper

from support import random_models
from transcriber.engines.openvino_encoder import GRAPHS, OpenVINOEncoder, Precision, best_precision

pytestmark = [
    pytest.mark.integration,
    pytest.mark.torch,
    # openai-whisper's tokenizer leaves its vocabulary file open.
    pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning"),
]


def encode(model_dir: Path, name: str, precision: Precision, spectrogram: Features) -> Features:
    key = digest(model_dir, name, Format.CT2)
    encoder = OpenVINOEncoder(location(model_dir, name, Format.CT2), key, precision=precision, threads=1)
    encoded: Features = encoder.encode([spectrogram])[0]
    return encoded


def with_torch(model_dir: Path, name: str, spectrogram: Features) -> Features:
    model = whisper.load_model(str(location(model_dir, name, Format.PT)), device="cpu")
    with torch.inference_mode():
        encoded = model.encoder(torch.from_numpy(spectrogram[None]))[0]
    return np.asarray(encoded, np.float32)


def relative_error(ours: Features, theirs: Features) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


@pytest.mark.weights
def test_real_weights_encode_real_speech_as_with_openai_whisper(speech: NDArray[np.float32]) -> None:
    if not all(is_present(default_dir(), "base", form) for form in Format):
        pytest.skip("base is not in MODEL_DIR in both forms: python -m models get base")
    spectrogram = log_mel(speech[:400_000], 80)
    theirs = with_torch(default_dir(), "base", spectrogram)
    assert relative_error(encode(default_dir(), "base", "float32", spectrogram), theirs) < 1e-4
    if best_precision() == "bfloat16":
        assert relative_error(encode(default_dir(), "base", "bfloat16", spectrogram), theirs) < 0.05


@pytest.fixture(scope="module", params=["large-v3", "large-v3-turbo", "tiny.en"])
def shaped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    name: str = request.param
    model_dir = tmp_path_factory.mktemp("models")
    random_models.make(model_dir, name)
    return model_dir, name


def test_models_of_every_shape_encode_as_with_openai_whisper(
    shaped: tuple[Path, str], speech: NDArray[np.float32]
) -> None:
    model_dir, name = shaped
    spectrogram = log_mel(speech[:400_000], 80 if name == "tiny.en" else 128)
    ours = encode(model_dir, name, "float32", spectrogram)
    assert relative_error(ours, with_torch(model_dir, name, spectrogram)) < 1e-4


def test_models_of_every_shape_decode_and_align_whatever_the_batch(
    shaped: tuple[Path, str], speech: NDArray[np.float32]
) -> None:
    model_dir, name = shaped
    engine = create("ctranslate2", name, model_dir, device="cpu", threads=1)
    windows = [speech[:240_000], speech[240_000:300_000]]
    together = engine.decode(windows, DecodeOptions(language="en"))
    assert engine.decode(windows[1:], DecodeOptions(language="en")) == together[1:]
    for window, result in zip(windows, together, strict=True):
        assert result.text
        assert all(0 <= word.start <= word.end <= len(window) / 16_000 for word in result.words)
    language, _ = engine.detect_language(windows[:1])
    assert language == "en" or not name.endswith(".en")
    decoder = "float32" if MODELS[name].parameters < 80 else "int8"
    assert engine.info.compute_type.startswith(f"{best_precision()}+{decoder}")
    assert "+openvino-" in engine.info.version
    engine.close()


def test_a_window_that_detection_encoded_is_not_encoded_again(tmp_path: Path, speech: NDArray[np.float32]) -> None:
    random_models.make(tmp_path, "tiny.en")
    folder = location(tmp_path, "tiny.en", Format.CT2)
    encoder = OpenVINOEncoder(folder, "digest", precision=best_precision(), threads=1)
    windows = [log_mel(speech[first : first + 80_000], 80) for first in range(0, 480_000, 80_000)]
    fresh = encoder.encode(windows)
    assert encoder.inferences == 6
    for window in windows:
        encoder.encode([window], keep=True)
    assert encoder.inferences == 12
    assert np.array_equal(encoder.encode(windows), fresh)
    assert encoder.inferences == 14  # the last four were kept
    assert np.array_equal(encoder.encode(windows), fresh)
    assert encoder.inferences == 20  # and each is used once


def test_two_processes_that_start_at_once_build_one_graph(tmp_path: Path) -> None:
    random_models.make(tmp_path, "tiny.en")
    program = (
        "import pathlib, sys, transcriber.engines.openvino_encoder as encoder\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "input()\n"
        "encoder.OpenVINOEncoder(folder, 'digest', precision='float32', threads=1)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "tiny.en")]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    [graph] = (tmp_path / GRAPHS).iterdir()
    assert {file.name for file in graph.iterdir()} == {"encoder.xml", "encoder.bin"}


def test_a_read_only_folder_is_no_error(tmp_path: Path, speech: NDArray[np.float32]) -> None:
    random_models.make(tmp_path, "tiny.en")
    (tmp_path / GRAPHS).write_bytes(b"not a folder")
    assert encode(tmp_path, "tiny.en", "float32", log_mel(speech[:16_000], 80)).shape == (1_500, 48)


@pytest.mark.weights
def test_encoder_ctranslate2_uses_its_own_encoder() -> None:
    if not is_present(default_dir(), "base", Format.CT2):
        pytest.skip("base is not in MODEL_DIR: python -m models get base")
    engine = create("ctranslate2", "base", default_dir(), device="cpu", threads=1, encoder="ctranslate2")
    assert "openvino" not in engine.info.version
    assert engine.info.compute_type.startswith("float32")
    engine.close()
