"""CTranslate2's model.bin survives reading and writing, and damaged files are refused."""

import struct
from pathlib import Path

import numpy as np
import pytest

from models import ctranslate2_file
from models.ctranslate2_file import Variables
from models.errors import ContentRefused
from models.naming import to_state_dict


def some_variables() -> Variables:
    arrays = {
        "single": np.arange(6, dtype="<f4").reshape(2, 3),
        "half": np.array([0.5, -2.0], "<f2"),
        "quantized": np.array([[1, -2]], "i1"),
        "heads": np.array(8, "<i2"),
    }
    return Variables(arrays, {"projection": "single"})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = some_variables()
    ctranslate2_file.write(tmp_path / "model.bin", written)
    read = ctranslate2_file.read(tmp_path / "model.bin")
    assert read.aliases == written.aliases
    assert list(read.arrays) == list(written.arrays)
    for name, array in written.arrays.items():
        assert read.arrays[name].dtype == array.dtype
        assert read.arrays[name].shape == array.shape
        np.testing.assert_array_equal(read.arrays[name], array)


def test_bfloat16_is_widened_to_float32(tmp_path: Path) -> None:
    name = b"weight\0"
    halves = (np.array([1.5, -3.0], "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    data = struct.pack("<IH12sII", 6, 12, b"WhisperSpec\0", 3, 1)
    data += struct.pack("<H7sBIBI", len(name), name, 1, 2, 5, len(halves)) + halves + struct.pack("<I", 0)
    (tmp_path / "model.bin").write_bytes(data)
    read = ctranslate2_file.read(tmp_path / "model.bin")
    np.testing.assert_array_equal(read.arrays["weight"], np.array([1.5, -3.0], np.float32))


@pytest.mark.parametrize("damage", ["cut", "longer", "other"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "model.bin"
    ctranslate2_file.write(file, some_variables())
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:-3], "longer": whole + b"x", "other": b"not a model at all, just text"}[damage])
    with pytest.raises(ContentRefused):
        ctranslate2_file.read(file)


def test_a_model_without_its_weights_is_refused() -> None:
    with pytest.raises(ContentRefused, match="has no variable"):
        to_state_dict(some_variables())
