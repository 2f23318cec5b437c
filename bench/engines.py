"""Engines side by side on one recording, in turn: seconds, real-time factor, word error rate, memory.

`PYTHONPATH=tests python -m bench.engines` writes its table and plot into docs/performance.md. `BENCH_RECORDING` names a
recording with its words beside it (`.json` with `ref`, or `.txt`); otherwise three minutes are made from the bundled
speech, with a separate table. Every engine runs once; more rounds follow while they fit into `BENCH_SECONDS` (330).
The table is written after every run, so that an interrupted run keeps its results. `BENCH_ENGINES` chooses by parts of
the names, separated by semicolons: the budgets need `ctranslate2, 2 processes;command line`.

The clock of every engine runs from the file to the text, after its libraries and the model are loaded; ours includes
voice activity detection, the second decoding of gaps and, always, word alignment, from which the segments have their
times: one figure for both. `transcribe()` is openai-whisper's function, which decodes greedily; its command
line (`whisper FILE --model base --language en`) calls it with five beams, and both fall back to higher temperatures.
"""

import asyncio
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jiwer
from whisper.normalizers import EnglishTextNormalizer

from models import Format, location
from native.settings import NativeSettings, cores
from support import recordings
from transcriber.audio.decoders import Decoders
from transcriber.decoding.passes import decode_in_passes
from transcriber.engines import EngineName
from transcriber.engines.base import DecodeOptions, Window, WindowResult
from transcriber.engines.process import EngineProcess, EngineSettings
from transcriber.speech.analysis import Analysis

from . import report

MODEL, LANGUAGE = "base", "en"
MINUTES: Final = 3
_LARGEST_BATCH: Final = 8
_HEADERS: Final = (
    "engine", "runs", "seconds (median)", "× real time", "× transcribe()", "× command line", "× it with words"
)  # fmt: skip
_HEADERS_OF_TEXT: Final = ("WER %", "S/D/I", "peak MB")
BASELINE: Final = "openai-whisper transcribe()"
COMMAND_LINE: Final = "openai-whisper, as its command line"
COMMAND_LINE_WORDS: Final = f"{COMMAND_LINE}, with words"


@dataclass(frozen=True, slots=True)
class Run:
    """One run from the file to the text; `peak` is the engine processes' resident memory in MB."""

    seconds: float
    text: str
    peak: float


@dataclass(slots=True)
class Entrant:
    """A program that transcribes, and its runs."""

    name: str
    run: Callable[[Path], Awaitable[Run]]
    runs: list[Run] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The median of the runs."""
        return statistics.median(run.seconds for run in self.runs)


async def main() -> None:
    """Measure, print and write the table."""
    budget, began = float(os.environ.get("BENCH_SECONDS", "330")), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        recording, reference = _recording(Path(folder))
        seconds = await _length(recording)
        entrants = [entrant for entrant in _entrants() if _wanted(entrant.name)]

        def fits(some: list[Entrant]) -> bool:
            return time.monotonic() - began + sum(entrant.seconds for entrant in some) < budget

        while not all(entrant.runs for entrant in entrants) or fits(entrants):
            for entrant in entrants:
                if not entrant.runs or fits([entrant]):
                    entrant.runs.append(await entrant.run(recording))
                    print(f"{entrant.name:<50} {entrant.runs[-1].seconds:6.1f} s", flush=True)
                    _report([each for each in entrants if each.runs], reference, seconds, recording.stem)


def _entrants() -> list[Entrant]:
    workers = cores()
    return [
        Entrant(BASELINE, _child("openai-whisper")),
        Entrant(f"ours, ctranslate2, {workers} processes, with words", _ours("ctranslate2", workers)),
        Entrant("ours, ctranslate2, 1 process, with words", _ours("ctranslate2", 1)),
        Entrant(f"{BASELINE}, with words", _child("openai-whisper", "words")),
        Entrant(COMMAND_LINE, _child("openai-whisper", "beam")),
        Entrant(COMMAND_LINE_WORDS, _child("openai-whisper", "beam", "words")),
        Entrant(f"ours, openai-whisper (torch), {workers} processes, with words", _ours("openai-whisper", workers)),
        Entrant("faster-whisper, beam 5", _child("faster-whisper")),
    ]


def _wanted(name: str) -> bool:
    parts = [part.strip() for part in os.environ.get("BENCH_ENGINES", "").split(";") if part.strip()]
    return not parts or any(part in name for part in parts)


def _report(entrants: list[Entrant], reference: str, seconds: float, recording: str) -> None:
    normal, rows, bars = EnglishTextNormalizer(), [], []
    took, peers = {entrant.name: entrant.seconds for entrant in entrants}, (BASELINE, COMMAND_LINE, COMMAND_LINE_WORDS)
    for entrant in entrants:
        errors = jiwer.process_words(normal(reference), normal(entrant.runs[-1].text))
        counts = f"{errors.substitutions}/{errors.deletions}/{errors.insertions}"
        rows.append(
            (
                entrant.name,
                len(entrant.runs),
                f"{entrant.seconds:.1f}",
                f"{seconds / entrant.seconds:.1f}",
                *(f"{took[name] / entrant.seconds:.2f}" if name in took else "-" for name in peers),
                f"{100 * errors.wer:.2f}",
                counts,
                f"{max(run.peak for run in entrant.runs):.0f}",
            )
        )
        bars.append((entrant.name, (seconds / entrant.seconds,)))
    table = report.table((*_HEADERS, *_HEADERS_OF_TEXT), rows)
    print(f"\n{table}")
    note = f"Recording: {recording}, {seconds:.1f} s; model {MODEL}, language given, no prompt."
    packages = ("ctranslate2", "openvino", "openai-whisper", "torch", "faster-whisper", "onnxruntime")
    origin = report.provenance("PYTHONPATH=tests python -m bench.engines", packages, note=note)
    section = "engines" if os.environ.get("BENCH_RECORDING") else "engines-bundled"
    plot = report.bars(section, "Seconds of audio per second", "×", bars, ("× real time",))
    report.write_section(section, f"{table}\n\n{plot}\n\n{origin}")


def _recording(folder: Path) -> tuple[Path, str]:
    if given := os.environ.get("BENCH_RECORDING"):
        path = Path(given)
        words = path.with_suffix(".json")
        return path, json.loads(words.read_text())["ref"] if words.is_file() else path.with_suffix(".txt").read_text()
    path = folder / "bundled.flac"
    samples = recordings.long_recording(MINUTES * 60)
    path.write_bytes(recordings.encoded(samples, "flac", "flac"))
    times = round(len(samples) / (len(recordings.speech()) + 1.5 * recordings.RATE))
    return path, " ".join([recordings.spoken_text()] * times)


async def _length(recording: Path) -> float:
    samples = 0
    async with Decoders() as decoders, decoders.decode(recording, max_seconds=86_400) as decoding:
        async for pcm in decoding:
            samples += len(pcm) // 2
    return samples / recordings.RATE


def _ours(engine: EngineName, processes: int) -> Callable[[Path], Awaitable[Run]]:
    async def run(recording: Path) -> Run:
        async with _engines(engine, processes) as engines:
            began = time.monotonic()
            results = await _share(engines, recording)
            spent = time.monotonic() - began
            peak = sum(_peak(engine.pid) for engine in engines)
        return Run(spent, " ".join(result.text for result in results if result.text), peak)

    return run


@asynccontextmanager
async def _engines(name: EngineName, count: int) -> AsyncIterator[list[EngineProcess]]:
    settings = EngineSettings(model_dir=NativeSettings().model_dir, engine=name, device="cpu", threads=1)
    engines = [EngineProcess(settings) for _ in range(count)]
    try:
        for engine in engines:
            await engine.info(MODEL)
        yield engines
    finally:
        for engine in engines:
            await engine.close()


async def _share(engines: list[EngineProcess], recording: Path) -> list[WindowResult]:
    """Decode, find speech, and transcribe windows on every engine; smaller batches towards the end."""
    waiting: deque[tuple[int, Window]] = deque()
    results: dict[int, WindowResult] = {}
    news, planned = asyncio.Condition(), False

    async def plan() -> None:
        nonlocal planned
        analysis, count = Analysis(), 0
        async with Decoders() as decoders, decoders.decode(recording, max_seconds=86_400) as decoding:
            async for pcm in decoding:
                found = await asyncio.to_thread(analysis.feed, pcm)
                async with news:
                    for window in (window for chunk in found for window in chunk.windows()):
                        waiting.append((count, window))
                        count += 1
                    news.notify_all()
        async with news:
            waiting.extend(enumerate((window for chunk in analysis.finish() for window in chunk.windows()), count))
            planned = True
            news.notify_all()

    async def work(engine: EngineProcess) -> None:
        while True:
            async with news:
                await news.wait_for(lambda: waiting or planned)
                if not waiting:
                    return
                share = math.ceil(len(waiting) / (2 * len(engines) if planned else len(engines)))
                batch = [waiting.popleft() for _ in range(min(_LARGEST_BATCH, share))]
            answers = await decode_in_passes(
                lambda some: engine.decode(MODEL, some, DecodeOptions(language=LANGUAGE)),
                [window for _, window in batch],
            )
            results.update(zip((index for index, _ in batch), answers, strict=True))

    await asyncio.gather(plan(), *(work(engine) for engine in engines))
    return [results[index] for index in range(len(results))]


def _peak(pid: int | None) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _child(*arguments: str) -> Callable[[Path], Awaitable[Run]]:
    """Run another project's engine in a separate process, with its default number of threads."""

    async def run(recording: Path) -> Run:
        with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
            command = [sys.executable, "-m", "bench.engines", "--in-child", answer.name, str(recording), *arguments]
            await asyncio.to_thread(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)
            return Run(**json.load(answer))

    return run


def _in_child(answer: Path, recording: Path, engine: str, *flags: str) -> None:
    began = 0.0
    text = ""
    if engine == "openai-whisper":
        import whisper  # noqa: PLC0415 (only in the process that measures it)

        model: Any = whisper.load_model(str(location(NativeSettings().model_dir, MODEL, Format.PT)), device="cpu")
        began = time.monotonic()
        # The call of the command line, with its options.
        search = {"beam_size": 5, "best_of": 5} if "beam" in flags else {}
        options = {"language": LANGUAGE, "fp16": False, "word_timestamps": "words" in flags}
        text = whisper.transcribe(model, _samples(recording), **options, **search)["text"]
    else:
        from faster_whisper import WhisperModel  # noqa: PLC0415 (likewise)

        quick = WhisperModel(str(location(NativeSettings().model_dir, MODEL, Format.CT2)), "cpu", compute_type="int8")
        began = time.monotonic()
        segments, _ = quick.transcribe(_samples(recording), language=LANGUAGE, beam_size=5)
        text = " ".join(segment.text for segment in segments)
    spent = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer.write_text(json.dumps({"seconds": spent, "text": text, "peak": peak}))


def _samples(recording: Path) -> Any:
    import numpy as np  # noqa: PLC0415 (likewise)

    return np.concatenate(list(recordings.decoded(recording, recordings.RATE))).astype(np.float32) / 32_768


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in-child"]:
        _in_child(Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
    else:
        asyncio.run(main())
