"""The whole platform against the bare engine: same recording, same machine, in turn, medians.

Budgets (one worker): wall time at most 1.05 times the bare engine's; first text at most 3 s plus one chunk's decoding
after the upload. `BENCH_RECORDING` names a recording; otherwise five minutes are made from the bundled speech.
`BENCH_ROUNDS` is how often each side runs (3).
"""

import asyncio
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
from native.settings import NativeSettings
from support import recordings
from transcriber.analysis import Analysis
from transcriber.audio import Decoders
from transcriber.engines.base import DecodeOptions
from transcriber.process import EngineProcess, EngineSettings

MODEL, LANGUAGE = "base", "en"
ENGINE: Final = "ctranslate2"
MINUTES = 5


@dataclass(frozen=True)
class Run:
    """One recording's way from file to transcript, in seconds."""

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
        async with _platform(Path(folder, "two"), workers=2) as two:
            shared = [await _through_platform(two, recording) for _ in range(rounds)]
    _report("bare engine, one process", bare, bare, seconds)
    _report("platform, one worker", through, bare, seconds)
    _report("platform, two workers", shared, bare, seconds)


def _report(label: str, runs: list[Run], reference: list[Run], seconds: float) -> None:
    total = statistics.median(run.total for run in runs)
    first = statistics.median(run.first_text for run in runs)
    ratio = total / statistics.median(run.total for run in reference)
    print(
        f"{label:<26} {total:6.1f} s  {seconds / total:5.1f} x real time  ratio {ratio:4.2f}  first text {first:4.1f} s"
    )


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


async def _through_engine(engine: EngineProcess, recording: Path) -> Run:
    """Decode, find speech, transcribe: what any program around the engine has to do."""
    began, first = time.monotonic(), 0.0
    analysis, chunks = Analysis(), []
    async with Decoders() as decoders, decoders.decode(recording, max_seconds=86_400) as decoding:
        async for pcm in decoding:
            chunks += analysis.feed(pcm)
    chunks += analysis.finish()
    for chunk in chunks:
        await engine.decode(MODEL, chunk.windows(), DecodeOptions(language=LANGUAGE))
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
