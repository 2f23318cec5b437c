"""The whole platform against the bare engine: same recording, same machine, in turn, medians.

Budgets (one worker): wall time at most 1.05 times the bare engine's; first text at most 3 s plus one chunk's decoding
after the upload. While one worker per core transcribes, `/health` and `/jobs` answer within 100 ms (99th percentile).
`BENCH_RECORDING` names a recording; otherwise five minutes are made from the bundled speech. `BENCH_ROUNDS` is
the number of runs of each side (3).

Clips of 5, 20 and 60 s whose language is detected: budget from the request to the whole text, the engine's time plus
300 ms. `BENCH_CLIP_ROUNDS` is the number of runs of each side (7).
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from native.fleet import Fleet
from native.settings import NativeSettings, cores
from support import recordings
from transcriber.audio.decoders import Decoders
from transcriber.engines.base import DecodeOptions
from transcriber.engines.process import EngineProcess, EngineSettings
from transcriber.speech.analysis import Analysis

from . import report

MODEL, LANGUAGE = "base", "en"
ENGINE: Final = "ctranslate2"
MINUTES = 5
CLIPS: Final = (5, 20, 60)  # seconds


@dataclass(frozen=True)
class ClipRun:
    """Durations of one clip from the request, in seconds."""

    text: float
    completed: float


@dataclass(frozen=True)
class Run:
    """Durations of one recording from file to transcript, in seconds."""

    total: float
    first_text: float


async def main() -> None:
    """Measure and print the table."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    with tempfile.TemporaryDirectory() as folder:
        recording = _recording(Path(folder))
        seconds = await _bare_length(recording)
        print(f"{recording.name}: {seconds:.0f} s, model {MODEL}, {ENGINE}, {rounds} rounds each, medians\n")
        async with _engine() as engine, _platform(Path(folder, "one"), workers=1) as one:
            bare, through = [], []
            for _ in range(rounds):
                bare.append(await _through_engine(engine, recording))
                through.append(await _through_platform(one, recording))
            clips = [await _clip(engine, one, Path(folder), seconds) for seconds in CLIPS]
        workers = max(2, cores())
        async with _platform(Path(folder, "all"), workers=workers) as every:
            asking = {path: asyncio.create_task(_ask(every, path)) for path in ("/health", "/jobs?limit=20")}
            shared = [await _through_platform(every, recording) for _ in range(rounds)]
            for task in asking.values():
                task.cancel()
            waits = {path: await task for path, task in asking.items()}
    rows = [
        _row("bare engine, one process", bare, bare, seconds),
        _row("platform, one worker", through, bare, seconds),
        _row(f"platform, {workers} workers", shared, bare, seconds),
    ]
    questions = [(f"`GET {path}`", len(spent), *_percentiles(spent)) for path, spent in waits.items()]
    bars = [(row[0], (float(row[2]),)) for row in rows]
    tables = (
        report.table(("", "seconds (median)", "× real time", "× bare engine's time", "first text s"), rows),
        report.bars("platform", "Seconds of audio per second", "×", bars, ("× real time",)),
        "Clips on an idle fleet of one worker, the language detected, in seconds (medians):",
        report.table(("clip", "bare engine", "request to text", "beyond the engine", "request to completed"), clips),
        f"Answers of the gateway while {workers} workers transcribe, in milliseconds:",
        report.table(("question", "asked", "median", "99th percentile", "longest"), questions),
        report.provenance(
            "PYTHONPATH=tests python -m bench.platform",
            ("ctranslate2", "openvino"),
            note=f"Recording: {recording.stem}, {seconds:.0f} s; model {MODEL}, {ENGINE}, {rounds} rounds each.",
        ),
    )
    text = "\n\n".join(tables)
    print(text)
    report.write_section("platform", text)


def _row(label: str, runs: list[Run], reference: list[Run], seconds: float) -> tuple[str, ...]:
    total = statistics.median(run.total for run in runs)
    first = statistics.median(run.first_text for run in runs)
    ratio = total / statistics.median(run.total for run in reference)
    return label, f"{total:.1f}", f"{seconds / total:.1f}", f"{ratio:.2f}", f"{first:.1f}"


def _percentiles(spent: list[float]) -> tuple[str, ...]:
    ordered = sorted(1_000 * each for each in spent)
    return tuple(f"{ordered[int(share * (len(ordered) - 1))]:.0f}" for share in (0.5, 0.99, 1.0))


async def _ask(client: httpx.AsyncClient, path: str) -> list[float]:
    """Send the same request ten times a second until cancelled; return the durations in seconds."""
    spent: list[float] = []
    try:
        while True:
            began = time.monotonic()
            (await client.get(path)).raise_for_status()
            spent.append(time.monotonic() - began)
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return spent


def _recording(folder: Path) -> Path:
    if given := os.environ.get("BENCH_RECORDING"):
        return Path(given)
    path = folder / "bundled.flac"
    path.write_bytes(recordings.encoded(recordings.long_recording(MINUTES * 60), "flac", "flac"))
    return path


async def _bare_length(recording: Path) -> float:
    analysis = Analysis()
    async with Decoders() as decoders, decoders.decode(recording, max_seconds=86_400) as decoding:
        async for pcm in decoding:
            analysis.feed(pcm)
    return analysis.duration_seconds


@asynccontextmanager
async def _engine() -> AsyncIterator[EngineProcess]:
    settings = EngineSettings(model_dir=NativeSettings().model_dir, engine=ENGINE, device="cpu", threads=1)
    engine = EngineProcess(settings)
    await engine.info(MODEL)
    yield engine
    await engine.close()


async def _through_engine(engine: EngineProcess, recording: Path, *, detect: bool = False) -> Run:
    """Decode, find speech, detect the language, transcribe: the steps that every program needs."""
    began, first = time.monotonic(), 0.0
    analysis, chunks = Analysis(), []
    async with Decoders() as decoders, decoders.decode(recording, max_seconds=86_400) as decoding:
        async for pcm in decoding:
            chunks += analysis.feed(pcm)
    chunks += analysis.finish()
    language = (await engine.detect_language(MODEL, chunks[0].windows()[:1]))[0] if detect else LANGUAGE
    for chunk in chunks:
        await engine.decode(MODEL, chunk.windows(), DecodeOptions(language=language))
        first = first or time.monotonic() - began
    return Run(time.monotonic() - began, first)


@asynccontextmanager
async def _platform(state: Path, *, workers: int) -> AsyncIterator[httpx.AsyncClient]:
    settings = NativeSettings().model_copy(update={"state_dir": state, "transcribers": workers, "gateway_port": 0})
    fleet = Fleet(state, settings, extra={"transcriber": {"ENGINE": ENGINE, "DEVICE": "cpu", "THREADS": "1"}})
    await fleet.start()
    try:
        async with httpx.AsyncClient(base_url=fleet.url("gateway"), timeout=60) as client:
            username, password = fleet.credentials
            answer = await client.post("/token", data={"username": username, "password": password})
            client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
            yield client
    finally:
        await fleet.stop()


async def _clip(engine: EngineProcess, client: httpx.AsyncClient, folder: Path, length: int) -> tuple[str, ...]:
    """Measure both sides in turn; return the table's row."""
    rounds = int(os.environ.get("BENCH_CLIP_ROUNDS", "7"))
    recording = folder / f"clip-{length}.flac"
    samples = recordings.long_recording(60)[: length * recordings.RATE]
    recording.write_bytes(recordings.encoded(samples, "flac", "flac"))
    bare: list[float] = []
    through: list[ClipRun] = []
    for _ in range(rounds + 1):  # the first round is the warm-up
        bare.append((await _through_engine(engine, recording, detect=True)).total)
        through.append(await _clip_through_platform(client, recording))
    alone = statistics.median(bare[1:])
    text = statistics.median(run.text for run in through[1:])
    completed = statistics.median(run.completed for run in through[1:])
    return f"{length} s", *(f"{value:.2f}" for value in (alone, text, text - alone, completed))


async def _clip_through_platform(client: httpx.AsyncClient, recording: Path) -> ClipRun:
    """From the request to the last piece of text and to the job's end, as a client sees its events."""
    files = {"file": (recording.name, await asyncio.to_thread(recording.read_bytes))}
    began, text = time.monotonic(), 0.0
    answer = await client.post("/jobs", files=files, data={"model": MODEL})
    job_id = answer.raise_for_status().json()["id"]
    async with client.stream("GET", f"/jobs/{job_id}/events") as events:
        async for line in events.aiter_lines():
            if not line.startswith("data: "):
                continue
            event, spent = json.loads(line.removeprefix("data: ")), time.monotonic() - began
            text = spent if "segments" in event else text
            if event.get("state") == "completed":
                return ClipRun(text, spent)
    raise AssertionError(f"the job {job_id} did not complete")


async def _through_platform(client: httpx.AsyncClient, recording: Path) -> Run:
    """From the end of the upload to the job's end, as a client sees it."""
    files = {"file": (recording.name, await asyncio.to_thread(recording.read_bytes))}
    answer = await client.post("/jobs", files=files, data={"model": MODEL, "language": LANGUAGE})
    job_id = answer.raise_for_status().json()["id"]
    began, first = time.monotonic(), 0.0
    while True:
        job = (await client.get(f"/jobs/{job_id}")).raise_for_status().json()
        if job["chunks_done"]:
            first = first or time.monotonic() - began
        if job["state"] in {"completed", "failed", "cancelled"}:
            assert job["state"] == "completed", job["reason"]
            return Run(time.monotonic() - began, first)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
