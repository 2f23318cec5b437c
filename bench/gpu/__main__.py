"""`python -m bench.gpu WINDOWS.npz MODEL_DIR`: the torch engine on this machine's GPU, side by side in one run.

WINDOWS.npz comes from `python -m bench.gpu.prepare RECORDING REFERENCE.json WINDOWS.npz`, which needs no GPU. Real
weights (base, from MODEL_DIR) give word error rates; random weights of other shapes give speed, at a fixed length of
text. `--results FILE` keeps the figures; `python -m bench.gpu.table FILE` writes them into docs/performance.md.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from whisper.audio import log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.normalizers import EnglishTextNormalizer

from transcriber.engines.base import DecodeOptions, Window
from transcriber.engines.openai_whisper import OpenAIWhisperEngine
from transcriber.engines.torch_whisper.loading import to_half_precision

from . import card, shapes

ENGLISH = DecodeOptions(language="en")
ROWS: list[dict[str, Any]] = []


def main() -> None:
    """Measure what the arguments select."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu")
    parser.add_argument("windows", type=Path)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--shapes", default="large-v3,large-v3-turbo")
    parser.add_argument("--slots", default="8,16,32,64,128")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=4, help="how many copies of the recording are joined")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    slots = [int(count) for count in arguments.slots.split(",")]
    print(f"{card.name()}, torch {torch.__version__}, openai-whisper {whisper.__version__}", flush=True)
    try:
        if (arguments.model_dir / "base.pt").is_file():
            real(arguments.windows, arguments.model_dir, slots, arguments.runs, arguments.repeat)
        for name in filter(None, arguments.shapes.split(",")):
            invented(name, slots, arguments.runs)
    finally:
        if arguments.results:
            found = {"card": card.name(), "torch": torch.__version__, "whisper": whisper.__version__, "rows": ROWS}
            arguments.results.write_text(json.dumps(found | {"command": " ".join(sys.argv)}, indent=1))


def real(prepared: Path, model_dir: Path, slots: list[int], runs: int, repeat: int) -> None:
    """The base model's real weights on a real recording."""
    recording = np.load(prepared)
    audio = recording["audio"].astype(np.float32) / 32768.0
    windows = [audio[first:last] for first, last in recording["windows"]]
    reference, seconds = str(recording["reference"]), len(audio) / 16_000
    for count in slots:
        ours(model_dir, windows, reference, seconds, count, runs)
    ours(model_dir, windows * repeat, "", seconds * repeat, max(slots), runs)
    model = whisper.load_model(str(model_dir / "base.pt"), device="cuda")
    text = model.transcribe(audio, language="en")["text"]
    measure("base", "openai-whisper transcribe()", seconds, lambda: model.transcribe(audio, language="en"), 2,
            wer=error_rate(reference, text), warm_ups=0)  # fmt: skip
    measure("base", "openai-whisper transcribe(), word times", seconds,
            lambda: model.transcribe(audio, language="en", word_timestamps=True), 2, warm_ups=0)  # fmt: skip
    measure("base", "openai-whisper decode(), batches of 16", seconds, lambda: in_batches(model, windows, 16), 3)


def invented(name: str, slots: list[int], runs: int) -> None:
    """A shape with random weights: 30 s windows of TOKENS tokens each."""
    windows = shapes.noise(max(slots) * 2)
    for count in slots:
        babble(name, windows[: max(32, 2 * count)], count, runs)
    model = to_half_precision(shapes.invented(name))
    few, many = windows[:4], windows[:32]
    measure(name, "openai-whisper decode(), one by one", 120.0, lambda: in_batches(model, few, 1, fixed=True), 2)
    measure(name, "openai-whisper decode(), batches of 16", 960.0, lambda: in_batches(model, many, 16, fixed=True), 2)


def ours(model_dir: Path, windows: list[Window], reference: str, seconds: float, slots: int, runs: int) -> None:
    """The base model through our engine."""
    engine = OpenAIWhisperEngine.open("base", model_dir, device="cuda", threads=4, slots=slots)
    text = " ".join(result.text for result in engine.decode(windows, ENGLISH))
    measure("base", f"ours, {slots} slots, {len(windows)} windows", seconds, lambda: engine.decode(windows, ENGLISH),
            runs, wer=error_rate(reference, text) if reference else None)  # fmt: skip
    engine.close()


def babble(name: str, windows: list[Window], slots: int, runs: int) -> None:
    """Random weights through our engine."""
    engine = shapes.engine(name, slots)
    what = f"ours, {slots} slots, {len(windows)} windows"
    measure(name, what, 30.0 * len(windows), lambda: engine.decode(windows, ENGLISH), runs)
    engine.close()
    torch.cuda.empty_cache()


def in_batches(model: Any, windows: list[Window], size: int, *, fixed: bool = False) -> None:
    """Decode with openai-whisper alone, no timestamps; `fixed` decodes exactly TOKENS tokens for every window."""
    options = DecodingOptions(
        language="en", without_timestamps=True, fp16=True, sample_len=shapes.TOKENS if fixed else None
    )
    task = DecodingTask(model, options)
    if fixed:
        task.logit_filters.append(_NeverEnding(task.tokenizer.eot))
    for first in range(0, len(windows), size):
        batch = [pad_or_trim(torch.from_numpy(window).cuda()) for window in windows[first : first + size]]
        task.run(torch.stack([log_mel_spectrogram(audio, model.dims.n_mels) for audio in batch]))


class _NeverEnding:
    def __init__(self, end_of_text: int) -> None:
        self._end_of_text = end_of_text

    def apply(self, logits: torch.Tensor, tokens: torch.Tensor) -> None:  # noqa: ARG002 (openai-whisper's)
        logits[:, self._end_of_text] = -torch.inf


def measure(
    model: str, what: str, seconds: float, work: Callable[[], object], runs: int, *, wer: float | None = None,
    warm_ups: int = 1,
) -> None:  # fmt: skip
    """Measure a function and print its row."""
    try:
        found = card.timed(work, runs=runs, warm_ups=warm_ups)
    except (torch.cuda.OutOfMemoryError, MemoryError):
        print(f"{model:<16} {what:<44} out of memory", flush=True)
        return
    median = statistics.median(found.seconds)
    row = {"model": model, "what": what, "audio_seconds": seconds, "seconds": median, "rtfx": seconds / median,
           "runs": found.seconds, "gibibytes": found.gibibytes, "busy": found.busy_percent, "wer": wer}  # fmt: skip
    ROWS.append(row)
    error = f"  WER {wer:.2%}" if wer is not None else ""
    print(
        f"{model:<16} {what:<44} {median:7.2f} s  {seconds / median:7.0f} x real time  "
        f"{found.gibibytes:5.1f} GiB  {found.busy_percent:3.0f} % busy{error}",
        flush=True,
    )


def error_rate(reference: str, text: str) -> float:
    """Return the share of words that are wrong, after Whisper's own normaliser."""
    normal = EnglishTextNormalizer()
    expected, recognised = normal(reference).split(), normal(text).split()
    distances = list(range(len(recognised) + 1))
    for row, word in enumerate(expected, start=1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(recognised, start=1):
            cheapest = min(distances[column] + 1, distances[column - 1] + 1, diagonal + (word != other))
            diagonal, distances[column] = distances[column], cheapest
    return distances[-1] / len(expected)


if __name__ == "__main__":
    main()
