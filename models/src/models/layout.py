"""MODEL_DIR: `<name>.pt` for openai-whisper, the folder `<name>/` for CTranslate2, and digests of both."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from .errors import ContentRefused
from .registry import EXPECTED

MANIFEST = "manifest.json"
_DIGEST_CACHE = ".digests.json"
_FOLDER_FILES = ("model.bin", "config.json", "vocabulary.json", "vocabulary.txt")


class Format(StrEnum):
    """The two forms of a stored model."""

    PT = "pt"
    CT2 = "ct2"


def default_dir() -> Path:
    """MODEL_DIR from the environment, else `models/weights` of the checkout the command runs in."""
    return Path(os.environ.get("MODEL_DIR") or "models/weights")


def location(model_dir: Path, name: str, form: Format) -> Path:
    """The path of this form of the model, present or not."""
    return model_dir / f"{name}.pt" if form is Format.PT else model_dir / name


def is_present(model_dir: Path, name: str, form: Format) -> bool:
    """Whether the files of this form exist; their content is not read."""
    place = location(model_dir, name, form)
    if form is Format.PT:
        return place.is_file()
    names = {file.name for file in place.iterdir()} if place.is_dir() else set()
    return {"model.bin", "config.json"} <= names and not names.isdisjoint({"vocabulary.json", "vocabulary.txt"})


def present(model_dir: Path, form: Format) -> list[str]:
    """Names of the models present in this form, registered ones or others, sorted."""
    if not model_dir.is_dir():
        return []
    names = {
        entry.name.removesuffix(".pt") if entry.is_file() else entry.name
        for entry in model_dir.iterdir()
        if not entry.name.startswith(".")
    }
    return sorted(name for name in names if is_present(model_dir, name, form))


@dataclass(frozen=True, slots=True)
class Check:
    """The present models per form, and the missing ones of EXPECTED."""

    model_dir: Path
    present: dict[Format, tuple[str, ...]]
    missing: dict[Format, tuple[str, ...]]

    def lines(self) -> Iterator[str]:
        """One sentence per form, for the log and the terminal."""
        kinds = {Format.PT: "openai-whisper (.pt)", Format.CT2: "CTranslate2 (folder)"}
        for form, kind in kinds.items():
            there = ", ".join(self.present[form]) or "none"
            absent = ", ".join(self.missing[form]) or "none"
            yield f"{kind} in {self.model_dir}: present {there}; missing {absent}"


def check(model_dir: Path) -> Check:
    """Compare MODEL_DIR with the models of a full installation."""
    there = {form: tuple(present(model_dir, form)) for form in Format}
    return Check(
        model_dir=model_dir,
        present=there,
        missing={form: tuple(name for name in EXPECTED if name not in there[form]) for form in Format},
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_files(model_dir: Path, name: str, form: Format) -> list[Path]:
    """The files of this form that a decoded text depends on."""
    place = location(model_dir, name, form)
    if form is Format.PT:
        return [place]
    return [place / file for file in _FOLDER_FILES if (place / file).is_file()]


def digest(model_dir: Path, name: str, form: Format) -> str:
    """SHA-256 of the model's content, cached in MODEL_DIR by each file's size and modification time.

    For a `.pt` it is the file's SHA-256; for a folder that of `<sha256>  <file name>` lines, one per file.
    """
    cache = _read_json(model_dir / _DIGEST_CACHE)
    digests = {}
    for file in model_files(model_dir, name, form):
        key, status = str(file.relative_to(model_dir)), file.stat()
        known = cache.get(key)
        if not (known and known["size"] == status.st_size and known["mtime_ns"] == status.st_mtime_ns):
            known = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": file_sha256(file)}
            cache[key] = known
            _write_cache(model_dir / _DIGEST_CACHE, cache)
        digests[file.name] = str(known["sha256"])
    if form is Format.PT:
        return digests[f"{name}.pt"]
    listing = "".join(f"{value}  {file}\n" for file, value in digests.items())
    return hashlib.sha256(listing.encode()).hexdigest()


def record(model_dir: Path, name: str, form: Format, source: str) -> None:
    """Record checksum and source of a model's files in MODEL_DIR's manifest, for `verify`."""
    manifest = _read_json(model_dir / MANIFEST)
    for file in model_files(model_dir, name, form):
        manifest[str(file.relative_to(model_dir))] = {"sha256": file_sha256(file), "source": source}
    write_json(model_dir / MANIFEST, manifest)


def verify(model_dir: Path, name: str, form: Format) -> str:
    """Compare a model's files with the checksums of the manifest; return a description of their source.

    Raises ContentRefused when a file has changed.
    """
    recorded = _read_json(model_dir / MANIFEST)
    origin = "not installed by this command, so no checksum is recorded"
    for file in model_files(model_dir, name, form):
        known = recorded.get(str(file.relative_to(model_dir)))
        if known is None:
            return origin
        if file_sha256(file) != known["sha256"]:
            raise ContentRefused(f"{file} has changed since its installation.")
        origin = str(known["source"])
    return f"unchanged since its installation ({origin})"


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file atomically."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=".", suffix=".part", delete=False, encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_cache(path: Path, cache: dict[str, Any]) -> None:
    try:
        write_json(path, cache)
    except OSError:
        # MODEL_DIR may be mounted read-only: the digest is then computed at each start.
        return
