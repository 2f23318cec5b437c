"""The file: a plain tar that is written and read as a stream, whose last member has the SHA-256 of all others."""

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from native.programs import ProgramError

ROWS: Final = "rows/"
OBJECTS: Final = "objects/"
MANIFEST: Final = "manifest.json"
CHECKSUMS: Final = "checksums.sha256"

_BLOCK: Final = 512
_READ: Final = 1024 * 1024


class DamagedArchiveError(ProgramError):
    """The file is no backup, not a whole one, or not what was written."""


class ArchiveWriter:
    """Writes members one after the other; the file has its name only once it is complete and on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(path.name + ".part")
        # Whoever can read a backup can read everything.
        self._file = os.fdopen(os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._checksums = tempfile.TemporaryFile("w+b", dir=path.parent)  # noqa: SIM115 (closed by `close`)

    def add(self, name: str, data: bytes) -> None:
        """Write a member whose content is at hand."""
        self._head(name, len(data))
        self._file.write(data)
        self._tail(name, len(data), hashlib.sha256(data).hexdigest())

    async def add_stream(self, name: str, size: int, blocks: AsyncIterator[bytes]) -> str:
        """Write a member of a known size block by block; return its SHA-256. Raises ProgramError on another size."""
        digest, left = hashlib.sha256(), size
        self._head(name, size)
        async for block in blocks:
            left -= len(block)
            if left < 0:
                break
            digest.update(block)
            self._file.write(block)
        if left:
            raise ProgramError(f"{name} changed while it was read: {size} bytes were announced")
        self._tail(name, size, digest.hexdigest())
        return digest.hexdigest()

    def complete(self, manifest: dict[str, Any]) -> None:
        """Write the manifest and the checksums, and give the file its name."""
        self.add(MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        size = self._checksums.tell()
        self._checksums.seek(0)
        self._head(CHECKSUMS, size)
        while block := self._checksums.read(_READ):
            self._file.write(block)
        self._pad(size)
        self._file.write(bytes(2 * _BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        self._unfinished.replace(self._path)

    def close(self) -> None:
        """Close the files; an incomplete one keeps its temporary name."""
        self._file.close()
        self._checksums.close()

    def discard(self) -> None:
        """Remove what was written."""
        self.close()
        self._unfinished.unlink(missing_ok=True)

    def _head(self, name: str, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._file.write(info.tobuf(tarfile.PAX_FORMAT))

    def _tail(self, name: str, size: int, sha256: str) -> None:
        self._pad(size)
        self._checksums.write(f"{sha256}  {name}\n".encode())

    def _pad(self, size: int) -> None:
        self._file.write(bytes(-size % _BLOCK))


@dataclass(frozen=True)
class Member:
    """One member while it is being read."""

    name: str
    size: int
    file: IO[bytes]

    def blocks(self) -> Iterator[bytes]:
        """The content, at most 1 MiB at a time."""
        while block := self.file.read(_READ):
            yield block


def members(path: Path) -> Iterator[Member]:
    """The members in their order; each must be read before the next. Raises DamagedArchiveError."""
    try:
        with tarfile.open(path, "r:") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # or it would remember every one of them
                file = tar.extractfile(info)
                if file is None:
                    raise DamagedArchiveError(f"{path} is no backup of Verbatim: {info.name} in it is no file")
                yield Member(info.name, info.size, file)
    except (tarfile.TarError, EOFError) as error:
        raise DamagedArchiveError(f"{path} cannot be read as a backup: {error}") from error


def verified(path: Path) -> dict[str, Any]:
    """Read the whole file once and return its manifest; raises DamagedArchiveError unless every byte is right."""
    if not path.is_file():
        raise DamagedArchiveError(f"there is no file {path}")
    manifest: dict[str, Any] | None = None
    complete = False
    with tempfile.TemporaryFile("w+b") as found:
        for member in members(path):
            if member.name == CHECKSUMS:
                found.seek(0)
                for line in member.file:
                    if line != found.readline():
                        raise DamagedArchiveError(f"{path} is damaged: {line.decode().split('  ', 1)[-1].strip()}")
                complete = not found.readline()
                break
            digest, content = hashlib.sha256(), []
            for block in member.blocks():
                digest.update(block)
                if member.name == MANIFEST:
                    content.append(block)
            if content:
                manifest = json.loads(b"".join(content))
            found.write(f"{digest.hexdigest()}  {member.name}\n".encode())
    if manifest is None or not complete:
        raise DamagedArchiveError(f"{path} is not complete: it was cut off, or its backup did not end")
    return manifest
