"""Count the words in transcripts of noise without speech: eight noises, twelve languages, three programs.

`PYTHONPATH=tests python -m bench.noise [NOISE ...]`. Each noise (tests/support/noises.py) is transcribed with the
language given, by this project (plan, engine and second decoding), by faster-whisper with its voice detector and by
openai-whisper's `transcribe()` with its defaults, all with the same weights. faster-whisper's own code needs two
packages that the lock leaves out: `pip install tokenizers huggingface-hub`. `BENCH_PARTS` is a file for the results,
from which an interrupted run continues. `BENCH_WRITE=1` puts the table into docs/performance.md.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from models import Format, location
from native.settings import NativeSettings
from support.noises import NOISES, OTHERS, Sound, noise
from transcriber.decoding.passes import decode_in_passes
from transcriber.engines import create
from transcriber.engines.base import DecodeOptions, Engine, Window, WindowResult

from . import report
from .variants import plan

MODEL: Final = "base"
SECONDS: Final = 20.0
LANGUAGES: Final = ("en", "de", "fr", "es", "it", "nl", "pl", "ru", "tr", "ar", "zh", "ja")
_UNSPACED: Final = ("zh", "ja")
_PACKAGES: Final = ("ctranslate2", "openvino", "onnxruntime", "openai-whisper", "torch", "faster-whisper")


def main() -> None:
    """Measure the missing combinations, and print the table."""
    parts = Path(os.environ.get("BENCH_PARTS", os.devnull))
    kept = parts.read_text(encoding="utf-8") if parts.is_file() else ""
    counted: dict[str, dict[str, Any]] = json.loads(kept or "{}")
    names = sys.argv[1:] or list(NOISES)
    for program, transcribe in PROGRAMS.items():
        for name in names:
            for language in LANGUAGES:
                key = f"{program}|{name}|{language}"
                if key in counted:
                    continue
                began = time.monotonic()
                text = transcribe(noise(name, SECONDS), language)
                counted[key] = {"words": words(text, language), "seconds": time.monotonic() - began, "text": text}
                print(f"{key}: {counted[key]['words']} {text[:80]!r}", flush=True)
                parts.write_text(json.dumps(counted, ensure_ascii=False), encoding="utf-8")
    table = _table(names, counted)
    print(f"\n{table}")
    if os.environ.get("BENCH_WRITE"):
        note = f"{SECONDS:.0f} s of each noise, model {MODEL}, languages {', '.join(LANGUAGES)}."
        facts = report.provenance("PYTHONPATH=tests python -m bench.noise", _PACKAGES, note=note)
        report.write_section("noise", f"{table}\n\n{facts}")


def words(text: str, language: str) -> int:
    """Count the words, in scripts without spaces the characters."""
    return len(re.findall(r"\w" if language in _UNSPACED else r"\w+", text))


def _table(names: list[str], counted: dict[str, dict[str, Any]]) -> str:
    """A row for each noise: the number of words in all languages, and the number of languages with any."""

    def cell(program: str, some: list[str]) -> str:
        parts = [counted.get(f"{program}|{name}|{language}") for name in some for language in LANGUAGES]
        found = [part["words"] for part in parts if part]
        if len(found) < len(parts):
            return f"{len(found)} of {len(parts)} measured"
        return f"{sum(found)} ({sum(count > 0 for count in found)})"

    rows = [
        [label, *(cell(program, some) for program in PROGRAMS)]
        for label, some in [*((name, [name]) for name in names), ("all", names)]
    ]
    return report.table(("noise", *PROGRAMS), rows)


def _ours(sound: Sound, language: str) -> str:
    async def decode(windows: Sequence[Window]) -> list[WindowResult]:
        return _engine().decode(windows, DecodeOptions(language=language))

    async def decoded() -> list[WindowResult]:
        return [result for chunk in plan(sound) for result in await decode_in_passes(decode, chunk.windows())]

    return " ".join(result.text for result in asyncio.run(decoded()) if result.text)


def _openai_whisper(sound: Sound, language: str) -> str:
    import whisper  # noqa: PLC0415 (heavy, and only measured here)

    return str(whisper.transcribe(_whisper(), sound, language=language, fp16=False)["text"])


def _faster_whisper(sound: Sound, language: str) -> str:
    segments, _ = _faster().transcribe(sound, language=language, vad_filter=True)
    return " ".join(segment.text for segment in segments)


@cache
def _engine() -> Engine:
    return create("ctranslate2", MODEL, NativeSettings().model_dir, device="cpu", threads=_threads())


@cache
def _whisper() -> Any:
    import whisper  # noqa: PLC0415 (likewise)

    return whisper.load_model(str(location(NativeSettings().model_dir, MODEL, Format.PT)), device="cpu")


@cache
def _faster() -> Any:
    from faster_whisper import WhisperModel  # noqa: PLC0415 (likewise)

    folder = location(NativeSettings().model_dir, MODEL, Format.CT2)
    return WhisperModel(str(folder), "cpu", compute_type="int8", cpu_threads=_threads())


def _threads() -> int:
    return len(os.sched_getaffinity(0))


PROGRAMS: Final[dict[str, Callable[[Sound, str], str]]] = {
    "ours": _ours,
    "faster-whisper, VAD": _faster_whisper,
    "openai-whisper": _openai_whisper,
}

if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - NOISES.keys() - OTHERS.keys():
        sys.exit(f"There is no noise called {', '.join(sorted(unknown))}: see tests/support/noises.py.")
    main()
