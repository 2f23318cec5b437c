"""CTranslate2's `model.bin`: named arrays and aliases, read and written with numpy alone.

All little endian: u32 format version; string specification; u32 revision; u32 count; per variable a string name,
u8 rank, u32 sizes, u8 type, u32 bytes, data; u32 count of aliases; per alias two strings. A string is a u16 length
with the closing NUL, then its bytes. Before version 4, a u8 item size and a u32 item count stand for type and bytes.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import ContentRefused

Array = npt.NDArray[Any]

FORMAT_VERSION = 6
SPECIFICATION = "WhisperSpec"
REVISION = 3

_BFLOAT16 = 5
_TYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}
_TYPE_IDS = {dtype: identity for identity, dtype in _TYPES.items()}
_TYPES_BY_SIZE: dict[int, np.dtype[Any]] = {4: np.dtype("<f4"), 2: np.dtype("<i2"), 1: np.dtype("i1")}
_FIRST_VERSION_WITH_TYPES = 4


@dataclass(slots=True)
class Variables:
    """The content of a `model.bin`. bfloat16 arrays are converted to float32 when read."""

    arrays: dict[str, Array]
    aliases: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Variables:
    """Read a Whisper `model.bin`.

    Raises ContentRefused when the file is truncated, has extra bytes, or is not a Whisper model.
    """
    reader = _Reader(path.read_bytes(), path)
    version, specification, _revision = reader.number("I"), reader.string(), reader.number("I")
    if specification != SPECIFICATION or version > FORMAT_VERSION:
        raise ContentRefused(f"{path} is not a Whisper model in CTranslate2 format version {FORMAT_VERSION} or older.")
    arrays = dict(reader.variable(version) for _ in range(reader.number("I")))
    aliases = {reader.string(): reader.string() for _ in range(reader.number("I"))} if version > 1 else {}
    reader.finish()
    return Variables(arrays, aliases)


def write(path: Path, variables: Variables) -> None:
    """Write a `model.bin` that CTranslate2 loads; variables in the order of the mapping."""
    with path.open("wb") as file:
        file.write(struct.pack("<I", FORMAT_VERSION) + _string(SPECIFICATION) + struct.pack("<I", REVISION))
        file.write(struct.pack("<I", len(variables.arrays)))
        for name, array in variables.arrays.items():
            file.write(_string(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape))
            file.write(struct.pack("<BI", _TYPE_IDS[array.dtype], array.nbytes))
            file.write(np.ascontiguousarray(array).tobytes())
        file.write(struct.pack("<I", len(variables.aliases)))
        for alias, target in variables.aliases.items():
            file.write(_string(alias) + _string(target))


def _string(text: str) -> bytes:
    encoded = text.encode() + b"\0"
    return struct.pack("<H", len(encoded)) + encoded


class _Reader:
    def __init__(self, data: bytes, path: Path) -> None:
        self._data, self._path, self._offset = data, path, 0

    def take(self, length: int) -> bytes:
        end = self._offset + length
        if end > len(self._data):
            raise ContentRefused(f"{self._path} is truncated or is not a CTranslate2 model.")
        taken = self._data[self._offset : end]
        self._offset = end
        return taken

    def number(self, form: str) -> int:
        return int(struct.unpack(f"<{form}", self.take(struct.calcsize(form)))[0])

    def string(self) -> str:
        try:
            return self.take(self.number("H"))[:-1].decode()
        except UnicodeDecodeError as error:
            raise ContentRefused(f"{self._path} is not a CTranslate2 model.") from error

    def variable(self, version: int) -> tuple[str, Array]:
        name = self.string()
        shape = [self.number("I") for _ in range(self.number("B"))]
        if version >= _FIRST_VERSION_WITH_TYPES:
            identity, length = self.number("B"), self.number("I")
        else:
            size = self.number("B")
            identity, length = _TYPE_IDS[_TYPES_BY_SIZE[size]], size * self.number("I")
        return name, self._array(identity, self.take(length)).reshape(shape)

    def _array(self, identity: int, data: bytes) -> Array:
        if identity == _BFLOAT16:
            # numpy has no bfloat16: it is the upper half of a float32.
            return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        if identity not in _TYPES:
            raise ContentRefused(f"{self._path} holds a variable of the unknown type {identity}.")
        return np.frombuffer(data, _TYPES[identity])

    def finish(self) -> None:
        if self._offset != len(self._data):
            raise ContentRefused(f"{self._path} has {len(self._data) - self._offset} extra bytes at its end.")
