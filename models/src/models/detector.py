"""The weights of the voice detector, a file of MODEL_DIR that every transcriber needs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from . import sources
from .errors import SourceUnavailable
from .layout import file_sha256

NAME: Final = "silero-vad"
FILE: Final = "silero_vad_v6.onnx"
SHA256: Final = "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"

_PACKAGE: Final = "faster-whisper 1.2.1"
_INSIDE: Final = f"faster_whisper/assets/{FILE}"


def find(model_dir: Path) -> Path:
    """Return the path of the detector's weights.

    Raises SourceUnavailable when the file is missing, ContentRefused when its checksum is wrong.
    """
    path = model_dir / FILE
    if not path.is_file():
        raise SourceUnavailable(
            f"The voice detector's weights, {FILE}, are not in {model_dir}."
            f" Install them with: python -m models get {NAME}"
        )
    sources.require_sha256(path, SHA256, str(path))
    return path


def install(model_dir: Path, say: Callable[[str], None], *, path: Path | None = None, force: bool = False) -> None:
    """Install the detector's weights in MODEL_DIR, from `path` or from a package.

    An existing file with the right checksum is kept unless `force`.
    Raises ModelError with a sentence for users; MODEL_DIR is then unchanged.
    """
    target = model_dir / FILE
    if not force and target.is_file() and file_sha256(target) == SHA256:
        return
    model_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=model_dir, prefix=".install-") as scratch:
        copy = Path(scratch) / FILE
        if path is None:
            say(f"{NAME}: from a package of the package index ({_PACKAGE})")
            sources.file_from_package(_PACKAGE, f"{NAME}.txt", _INSIDE, copy)
        elif path.is_file():
            shutil.copyfile(path, copy)
        else:
            raise SourceUnavailable(f"{path} is not a file.")
        sources.require_sha256(copy, SHA256, f"{FILE} of {path or _PACKAGE}")
        copy.replace(target)
