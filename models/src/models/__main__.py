"""`python -m models list|get|check|verify`: see which models are here, and bring one in."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import detector
from .bring import bring, default_forms
from .errors import ModelError
from .layout import Format, check, default_dir, digest, present, verify
from .registry import MODELS

_FORMS = {"ct2": (Format.CT2,), "pt": (Format.PT,), "both": tuple(Format)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, or 1 with a sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ModelError as error:
        _say(f"models: {error}")
        return 1


def _list(options: argparse.Namespace) -> int:
    there = {form: present(options.model_dir, form) for form in Format}
    rows = [("name", "size", "languages", "here")]
    for model in MODELS.values():
        languages = "English" if model.languages == ("en",) else str(len(model.languages))
        forms = ", ".join(form for form in Format if model.name in there[form])
        rows.append((model.name, f"{model.megabytes} MB", languages, forms or "-"))
    for row in rows:
        _tell("{:<16}{:>8}  {:<10}{}".format(*row))
    return 0


def _get(options: argparse.Namespace) -> int:
    if options.name == detector.NAME:
        detector.bring(options.model_dir, _say, path=options.path, force=options.force)
        _tell(f"{detector.NAME} is in {options.model_dir}")
        return 0
    forms = _FORMS[options.format] if options.format else default_forms()
    model = MODELS[options.name]
    brought = bring(model, options.model_dir, forms, _say, path=options.path, force=options.force)
    for reason in brought.left_out.values():
        _say(reason)
    if options.format is None and forms == (Format.CT2,):
        _say("torch is not installed: only the ct2 form, which the ctranslate2 engine reads, was asked for.")
    _tell(f"{model.name} is in {options.model_dir}: {', '.join(brought.forms)}")
    detector.bring(options.model_dir, _say)
    return 1 if brought.left_out else 0


def _check(options: argparse.Namespace) -> int:
    report = check(options.model_dir)
    for line in report.lines():
        _tell(line)
    return 0 if any(report.present.values()) else 1


def _verify(options: argparse.Namespace) -> int:
    status = 0
    try:
        detector.find(options.model_dir)
        _tell(f"{detector.NAME}: the published file; digest {detector.SHA256}")
    except ModelError as error:
        _tell(f"{detector.NAME}: REFUSED. {error}")
        status = 1
    for form in Format:
        for name in present(options.model_dir, form):
            try:
                found = verify(options.model_dir, name, form)
                line = f"{name} ({form}): {found}; digest {digest(options.model_dir, name, form)}"
            except ModelError as error:
                line, status = f"{name} ({form}): REFUSED. {error}", 1
            _tell(line)
    return status


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 (progress and reasons, for the person at the terminal)


def _tell(line: str) -> None:
    print(line)  # noqa: T201 (a command's result, for the person or the program that ran it)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model-dir", type=Path, default=default_dir(), help="default: MODEL_DIR, else models/weights")
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", parents=[common], help="the models there are, and which are here")
    listing.set_defaults(run=_list)
    get = commands.add_parser("get", parents=[common], help="bring a model, and the voice detector, into MODEL_DIR")
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
    get.add_argument("--force", action="store_true", help="replace what is there")
    get.set_defaults(run=_get)
    checking = commands.add_parser(
        "check", parents=[common], help="what a full installation holds, and what is missing"
    )
    checking.set_defaults(run=_check)
    verifying = commands.add_parser("verify", parents=[common], help="compare files with their recorded checksums")
    verifying.set_defaults(run=_verify)
    return parser


if __name__ == "__main__":
    sys.exit(main())
