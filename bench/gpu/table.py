"""`python -m bench.gpu.table RESULTS.json…`: write results of `bench.gpu` as the GPU section of docs/performance.md.

Several files of one card make one table; of rows of the same name the later counts.
"""

import json
import sys
from pathlib import Path
from typing import Any

from bench import report

INTRODUCTION = """\
base has its real weights and {seconds:.0f} s of English speech in windows of up to 30 s. The other shapes have random
weights and decode {tokens} tokens for each window of 30 s, which takes as long as with real weights. Ours includes word
times, openai-whisper only where the row says so; *x openai-whisper* is against its `transcribe()`,
or its `decode()` window by window, which is what `transcribe()` does. Medians; *busy* is the driver's figure, GiB the
most that torch had allocated. With the same number of slots, ours gives the same bits in every run, any order and any
company. faster-whisper is missing: its CTranslate2 needs CUDA 12's cuBLAS, and this card's machine had CUDA 13."""


def main(paths: list[Path]) -> None:
    """Write the section."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for file in found:
        rows |= {(row["model"], row["what"]): row for row in file["rows"]}
    slowest = {
        model: min(row["rtfx"] for (of, what), row in rows.items() if of == model and what.startswith("openai-whisper"))
        for model, _ in rows
    }
    table = report.table(
        ["model", "what", "seconds", "x real time", "x openai-whisper", "GiB", "busy %", "WER %"],
        [
            [
                model,
                what,
                f"{row['seconds']:.2f}",
                f"{row['rtfx']:.0f}",
                f"{row['rtfx'] / slowest[model]:.1f}",
                f"{row['gibibytes']:.1f}",
                f"{row['busy']:.0f}",
                f"{100 * row['wer']:.2f}" if row["wer"] is not None else "",
            ]
            for (model, what), row in sorted(rows.items(), key=lambda row: row[0][0])
        ],
    )
    real = next((row for (model, _), row in rows.items() if model == "base"), None)
    text = INTRODUCTION.format(seconds=real["audio_seconds"] if real else 0, tokens=100)
    cards = ", ".join(sorted({file["card"] for file in found}))
    versions = ", ".join(sorted({f"torch {file['torch']}, openai-whisper {file['whisper']}" for file in found}))
    lines = [f"Card (name, driver): {cards}. {versions}.", "Commands:", ""]
    lines += [f"    python -m bench.gpu WINDOWS.npz MODEL_DIR {_options(file['command'])}" for file in found]
    report.write_section("gpu", "\n\n".join([text, table, "\n".join(lines)]))


def _options(command: str) -> str:
    """The options of a command, without file paths."""
    return command[command.index(" --") + 1 :].partition(" --results")[0].replace("--shapes  ", '--shapes "" ')


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
