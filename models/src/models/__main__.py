"""`python -m models list|get|check|verify`: list the models, and install one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import detector
from .errors import ModelError
from .install import default_forms, install
from .layout import Format, check, default_dir, digest, present, verify
from .registry import MODELS

_FORMS = {"ct2": (Format.CT2,), "pt": (Format.PT,), "both": tuple(Format)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, or 1 with an error message on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ModelError as error:
        _print_progress(f"models: {error}")
        return 1


def _list(options: argparse.Namespace) -> int:
    there = {form: present(options.model_dir, form) for form in Format}
    rows = [("name", "size", "languages", "here")]
    for model in MODELS.values():
        languages = "English" if model.languages == ("en",) else str(len(model.languages))
        forms = ", ".join(form for form in Format if model.name in there[form])
        rows.append((model.name, f"{model.megabytes} MB", languages, forms or "-"))
    for row in rows:
        _print_result("{:<16}{:>8}  {:<10}{}".format(*row))
    return 0


def _get(options: argparse.Namespace) -> int:
    if options.name == detector.NAME:
        detector.install(options.model_dir, _print_progress, path=options.path, force=options.force)
        _print_result(f"{detector.NAME} is in {options.model_dir}")
        return 0
    forms = _FORMS[options.format] if options.format else default_forms()
    model = MODELS[options.name]
    installed = install(model, options.model_dir, forms, _print_progress, path=options.path, force=options.force)
    for reason in installed.left_out.values():
        _print_progress(reason)
    if options.format is None and forms == (Format.CT2,):
        _print_progress("torch is not installed: only the ct2 form, for the ctranslate2 engine, was installed.")
    _print_result(f"{model.name} is in {options.model_dir}: {', '.join(installed.forms)}")
    detector.install(options.model_dir, _print_progress)
    return 1 if installed.left_out else 0


def _check(options: argparse.Namespace) -> int:
    report = check(options.model_dir)
    for line in report.lines():
        _print_result(line)
    return 0 if any(report.present.values()) else 1


def _verify(options: argparse.Namespace) -> int:
    status = 0
    try:
        detector.find(options.model_dir)
        _print_result(f"{detector.NAME}: the published file; digest {detector.SHA256}")
    except ModelError as error:
        _print_result(f"{detector.NAME}: REFUSED. {error}")
        status = 1
    for form in Format:
        for name in present(options.model_dir, form):
            try:
                found = verify(options.model_dir, name, form)
                line = f"{name} ({form}): {found}; digest {digest(options.model_dir, name, form)}"
            except ModelError as error:
                line, status = f"{name} ({form}): REFUSED. {error}", 1
            _print_result(line)
    return status


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 (progress and errors for the terminal)


def _print_result(line: str) -> None:
    print(line)  # noqa: T201 (the result of a command)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model-dir", type=Path, default=default_dir(), help="default: MODEL_DIR, else models/weights")
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", parents=[common], help="list all models, and those in MODEL_DIR")
    listing.set_defaults(run=_list)
    get = commands.add_parser("get", parents=[common], help="install a model, and the voice detector, in MODEL_DIR")
    names = [*MODELS, detector.NAME]
    get.add_argument("name", choices=names, metavar="NAME", help=", ".join(names))
    get.add_argument(
        "--from",
        dest="path",
        type=Path,
        metavar="PATH",
        help="a .pt file, a CTranslate2 folder, or the detector's file",
    )
    get.add_argument("--format", choices=_FORMS, help="default: both with torch installed, else ct2")
    get.add_argument("--force", action="store_true", help="replace an installed model")
    get.set_defaults(run=_get)
    checking = commands.add_parser(
        "check", parents=[common], help="list the models of a full installation, and the missing ones"
    )
    checking.set_defaults(run=_check)
    verifying = commands.add_parser("verify", parents=[common], help="compare files with their recorded checksums")
    verifying.set_defaults(run=_verify)
    return parser


if __name__ == "__main__":
    sys.exit(main())
