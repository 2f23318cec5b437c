"""Word errors and time errors of a recording with known words, clean and distorted, through plan and engine.

`PYTHONPATH=tests BENCH_CORPUS=FOLDER python -m bench.variants [NAME ...]`. The folder holds `long10_en.flac` and
`long10_en.json` (`ref`, and `seams`: start, end and ref of every passage). Names choose variants by their prefix.
`BENCH_ENGINE` is an engine's name (auto), `BENCH_ENGINES` the number of processes that decode (1), `BENCH_PLAN=only`
stops before decoding, `BENCH_WRITE=1` puts the table into docs/performance.md after every variant.

Printed for each variant: word error rate with Whisper's normaliser; substitutions, deletions, insertions; deletions in
percent of the words (budget 1 %); the share of the spoken time that the plan covers; and the errors of word starts and
ends at the passages' edges, against the first and last sound there (budget: median 100 ms, none over 1 s).
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from json import loads
from pathlib import Path
from typing import Any, Final, cast

import jiwer
import numpy as np
from whisper.normalizers import EnglishTextNormalizer

from common.events import JobOptions
from native.settings import NativeSettings
from transcriber.audio.decoders import Decoders
from transcriber.decoding.passes import decode_in_passes
from transcriber.decoding.timeline import Timeline
from transcriber.engines import EngineName
from transcriber.engines.base import DecodeOptions
from transcriber.engines.process import EngineProcess, EngineSettings
from transcriber.speech.analysis import Analysis, ChunkAudio
from transcriber.text.transcript import assemble

from . import report
from .distortions import RATE, VARIANTS, Clip, Sound, Take

MODEL, LANGUAGE = "base", "en"
BATCH: Final = 8
_AUDIBLE: Final = 0.06  # threshold of the first and last sound, relative to the passage's loud frames
_FRAME: Final = 160
_HEADERS: Final = (
    "variant", "WER %", "S/D/I", "deleted %", "covered %", "windows", "starts ms", "ends ms", "> 1 s", "seconds"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edges:
    """Time differences between the passages' first and last words and the sound, in seconds."""

    starts: tuple[float, ...]
    ends: tuple[float, ...]


async def main() -> None:
    """Measure the chosen variants and print the table."""
    corpus = Path(os.environ["BENCH_CORPUS"])
    take = await _take(corpus)
    chosen = {name: make for name, make in VARIANTS.items() if _wanted(name, sys.argv[1:])}
    count = int(os.environ.get("BENCH_ENGINES", "1"))
    settings = EngineSettings(
        model_dir=NativeSettings().model_dir,
        engine=cast(EngineName, os.environ.get("BENCH_ENGINE", "auto")),
        threads=1 if count > 1 else 0,
    )
    engines = [EngineProcess(settings) for _ in range(count)]
    rows: list[list[object]] = []
    try:
        for name, make in chosen.items():
            rows.append(await _measure(name, make(take), engines))
            print("  ".join(f"{head} {cell}" for head, cell in zip(_HEADERS, rows[-1], strict=True)), flush=True)
            _report(rows)
    finally:
        for engine in engines:
            await engine.close()
    print(f"\n{report.table(_HEADERS, rows)}")


def _report(rows: Sequence[Sequence[object]]) -> None:
    """Write the table after every variant, with BENCH_WRITE=1."""
    if os.environ.get("BENCH_WRITE"):
        command = "BENCH_WRITE=1 PYTHONPATH=tests BENCH_CORPUS=… python -m bench.variants"
        facts = report.provenance(command, ("ctranslate2", "openvino", "onnxruntime"))
        report.write_section("variants", f"{report.table(_HEADERS, rows)}\n\n{facts}")


def _wanted(name: str, beginnings: Sequence[str]) -> bool:
    return not beginnings or any(name.startswith(beginning) for beginning in beginnings)


async def _take(corpus: Path) -> Take:
    described = loads((corpus / "long10_en.json").read_text(encoding="utf-8"))
    pcm = bytearray()
    recording = corpus / described.get("file", "long10_en.flac")
    async with Decoders() as decoders, decoders.decode(recording, max_seconds=86_400) as decoding:
        async for block in decoding:
            pcm += block
    sound = np.asarray(np.frombuffer(bytes(pcm), "<i2") / 32768, np.float32)
    return Take(sound, tuple(Clip(seam["start"], seam["end"], seam["ref"]) for seam in described["seams"]))


async def _measure(name: str, take: Take, engines: Sequence[EngineProcess]) -> list[object]:
    began = time.monotonic()
    chunks = plan(take.sound)
    windows = [window for chunk in chunks for window in chunk.chunk.windows]
    covered = _covered(take.clips, chunks)
    if os.environ.get("BENCH_PLAN") == "only":
        return [name, *["-"] * 3, f"{covered:.2f}", len(windows), *["-"] * 3, f"{time.monotonic() - began:.0f}"]
    transcript = await _transcribe(chunks, engines, len(take.sound) / RATE)
    spent = time.monotonic() - began
    recognised = jiwer.process_words(_plain(" ".join(clip.ref for clip in take.clips)), _plain(transcript["text"]))
    count = recognised.hits + recognised.substitutions + recognised.deletions
    edges = _edges(take, transcript)
    return [
        name,
        f"{100 * recognised.wer:.2f}",
        f"{recognised.substitutions}/{recognised.deletions}/{recognised.insertions}",
        f"{100 * recognised.deletions / count:.2f}",
        f"{covered:.2f}",
        len(windows),
        _middle(edges.starts),
        _middle(edges.ends),
        sum(abs(error) > 1 for error in chain(edges.starts, edges.ends)),
        f"{spent:.0f}",
    ]


def plan(sound: Sound) -> list[ChunkAudio]:
    analysis = Analysis()
    pcm = np.round(np.clip(sound, -1, 32767 / 32768) * 32768).astype("<i2").tobytes()
    return analysis.feed(pcm) + analysis.finish()


async def _transcribe(chunks: Sequence[ChunkAudio], engines: Sequence[EngineProcess], seconds: float) -> dict[str, Any]:
    """Decode every chunk as a worker does, on all engines at once, and merge."""
    waiting = list(enumerate(chunks))[::-1]
    results: dict[int, dict[str, Any]] = {}

    async def work(engine: EngineProcess) -> None:
        while waiting:
            index, chunk = waiting.pop()
            recognised = await decode_in_passes(
                lambda some: engine.decode(MODEL, some, DecodeOptions(language=LANGUAGE)), chunk.windows()
            )
            described = chunk.chunk.document()["windows"]
            documents = [
                Timeline(each).document(result, audio)
                for each, result, audio in zip(described, recognised, chunk.windows(), strict=True)
            ]
            results[index] = {"engine": None, "windows": documents}

    await asyncio.gather(*(work(engine) for engine in engines))
    plan = {"language": LANGUAGE, "duration_seconds": seconds, "speech_seconds": 0.0}
    return assemble(plan, [results[index] for index in range(len(chunks))], JobOptions(word_timestamps=True))


def _covered(clips: Sequence[Clip], chunks: Sequence[ChunkAudio]) -> float:
    """The percentage of the passages' time that is in windows."""
    spoken = np.zeros(round(max(clip.end for clip in clips) * 100) + 1, bool)
    for clip in clips:
        spoken[round(clip.start * 100) : round(clip.end * 100)] = True
    taken = np.zeros_like(spoken)
    for span in (span for chunk in chunks for window in chunk.chunk.windows for span in window.spans):
        taken[span.start * 100 // RATE : span.end * 100 // RATE] = True
    return 100 * float((spoken & taken).sum() / spoken.sum())


def _plain(text: str) -> str:
    return str(EnglishTextNormalizer()(text))


def _edges(take: Take, transcript: dict[str, Any]) -> Edges:
    """Compare the times of each passage's first and last word, if recognised, with the sound."""
    spoken: list[str] = []
    places: dict[int, float] = {}
    ends: dict[int, float] = {}
    for clip in take.clips:
        words = _plain(clip.ref).split()
        first, last = _sounding(take.sound, clip)
        places[len(spoken)], ends[len(spoken) + len(words) - 1] = first, last
        spoken += words
    recognised: list[tuple[str, float, float]] = []
    for segment in transcript["segments"]:
        for word in segment["words"]:
            recognised += [(plain, word["start"], word["end"]) for plain in _plain(word["word"]).split()]
    aligned = jiwer.process_words(" ".join(spoken), " ".join(word for word, _, _ in recognised)).alignments[0]
    at = {
        chunk.ref_start_idx + index: recognised[chunk.hyp_start_idx + index]
        for chunk in aligned
        if chunk.type == "equal"
        for index in range(chunk.ref_end_idx - chunk.ref_start_idx)
    }
    return Edges(
        tuple(at[index][1] - second for index, second in places.items() if index in at),
        tuple(at[index][2] - second for index, second in ends.items() if index in at),
    )


def _sounding(sound: Sound, clip: Clip) -> tuple[float, float]:
    """Find the first and the last sound of a passage."""
    first, last = round(clip.start * RATE), round(clip.end * RATE)
    frames = sound[first : first + (last - first) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.sqrt(np.mean(np.square(frames), axis=1))
    audible = np.flatnonzero(levels > _AUDIBLE * np.percentile(levels, 95))
    return clip.start + audible[0] * _FRAME / RATE, clip.start + (audible[-1] + 1) * _FRAME / RATE


def _middle(errors: Sequence[float]) -> str:
    """The median of the errors' sizes and the largest, in milliseconds."""
    sizes = [abs(error) * 1000 for error in errors]
    return f"{statistics.median(sizes):.0f}, max {max(sizes):.0f}" if sizes else "-"


if __name__ == "__main__":
    asyncio.run(main())
