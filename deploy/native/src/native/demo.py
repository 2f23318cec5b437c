"""The demo: a recording goes in through the gateway, its log records are shown live, its transcript is printed."""

import asyncio
import contextlib
import json
import os
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from .console import Console, aligned
from .fleet import Fleet, credentials, table
from .programs import ProgramError
from .report import gateway_url
from .settings import CHECKOUT, NativeSettings
from .state import StateFolder

SAMPLE = CHECKOUT / "services/transcriber/src/transcriber/samples/sample.opus"
POLL_SECONDS = 0.4
LAST_LINES_SECONDS = 0.6  # the log lines of a job's end may come this long after its state
TRANSCRIPT_LINES = 60
WIDTH = 78


def run(state: StateFolder, settings: NativeSettings, file: Path | None, start_and_leave: Callable[[], int]) -> int:
    """Start the fleet unless it runs, transcribe one recording, and stop what the demo itself started."""
    recording = find_recording(file, settings)
    if state.holder() is None and settings.keep:
        start_and_leave()
    if state.holder() is not None:
        asyncio.run(transcribe(gateway_url(state), credentials(state, settings), recording, state))
        return 0
    print("Starting the platform (the first start takes longer) …\n", flush=True)
    began = time.monotonic()
    console = Console([program.name for program in table(state, settings)])
    fleet = Fleet(settings.state_dir, settings, say=console.say)
    with fleet.running():
        print(f"\nEverything is ready after {time.monotonic() - began:.1f} s.", flush=True)
        asyncio.run(transcribe(fleet.url("gateway"), fleet.credentials, recording, state))
        print("\nStopping what the demo started (KEEP=1 leaves it running) …", flush=True)
    return 0


def find_recording(file: Path | None, settings: NativeSettings) -> Path:
    """The given file, else $SAMPLE, else the bundled sample."""
    chosen = file or settings.sample or SAMPLE
    if not chosen.is_file():
        what = "is a folder; name one recording" if chosen.is_dir() else "does not exist"
        raise ProgramError(f"{chosen} {what}")
    return chosen


async def transcribe(url: str, account: tuple[str, str], recording: Path, state: StateFolder) -> None:
    """Send the recording, show its log and progress, then print the transcript, the timings and further addresses."""
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(30, read=120), trust_env=False) as client:
        token = (await _ask(client, "POST", "/token", data=dict(zip(("username", "password"), account, strict=True))))[
            "access_token"
        ]
        client.headers["Authorization"] = f"Bearer {token}"
        with recording.open("rb") as content:
            print(f"\nSending {recording.name} ({os.fstat(content.fileno()).st_size / 1e6:.1f} MB) …", flush=True)
            job = await _ask(client, "POST", "/jobs", files={"file": (recording.name, content)})
        print(f"Accepted as job {job['id']}. Its log:\n", flush=True)
        async with _live_log(url, job["id"], token):
            job = await _finished(client, job["id"])
        if job["state"] != "completed":
            raise ProgramError(
                f"The job {job['state']}: {job['reason'] or 'no reason was given'} ({job['reason_code']})"
            )
        seconds = time.monotonic() - began
        text = await client.get(f"/jobs/{job['id']}/download", params={"format": "txt"})
        text.raise_for_status()
    _print_transcript(text.text, job)
    print(f"\n{aligned(_timings(job, seconds))}\n\n{aligned(_where_next(url, job, state))}", flush=True)


async def _ask(client: httpx.AsyncClient, method: str, path: str, **parts: Any) -> dict[str, Any]:
    """A request to the gateway; an error becomes one sentence."""
    try:
        answer = await client.request(method, path, **parts)
    except httpx.HTTPError as error:
        raise ProgramError(f"The gateway does not answer {method} {path}: {error or type(error).__name__}") from None
    if answer.is_error:
        with contextlib.suppress(ValueError):
            problem = answer.json()
            raise ProgramError(
                f"The {problem.get('service', 'gateway')} refused {method} {path}: {problem.get('detail')}"
            )
        raise ProgramError(f"The gateway answered {answer.status_code} to {method} {path}.")
    content: dict[str, Any] = answer.json()
    return content


async def _finished(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """Show the job's progress until it is over."""
    shown = None
    while True:
        job = await _ask(client, "GET", f"/jobs/{job_id}")
        progress = _progress(job)
        if progress != shown:
            print(f"{'':>8}  {'──':<14} {progress}", flush=True)
            shown = progress
        if job["state"] in {"completed", "failed", "cancelled"}:
            await asyncio.sleep(LAST_LINES_SECONDS)
            return job
        await asyncio.sleep(POLL_SECONDS)


def _progress(job: dict[str, Any]) -> str:
    chunks = f", {job['chunks_done']} of {job['chunks_total']} chunks" if job["chunks_total"] else ""
    return f"{job['progress']:.0%}  {job['stage']}{chunks}"


@contextlib.asynccontextmanager
async def _live_log(url: str, job_id: str, token: str) -> AsyncIterator[None]:
    """Print the job's log lines while the block runs; a broken stream is reported once and does not end the demo."""

    async def stream() -> None:
        address = f"{url.replace('http://', 'ws://', 1)}/ws/logs/{job_id}"
        try:
            async with connect(address, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
                async for message in socket:
                    print(readable(json.loads(message)), flush=True)
        except (WebSocketException, OSError) as error:
            print(f"(the live log was interrupted: {error})", flush=True)

    streaming = asyncio.create_task(stream())
    try:
        yield
    finally:
        streaming.cancel()
        await asyncio.wait([streaming])


_PLAIN = {
    "log_id",
    "timestamp",
    "level",
    "event",
    "service",
    "instance",
    "logger",
    "correlation_id",
    "trace_id",
    "job_id",
}


def readable(record: dict[str, Any]) -> str:
    """A log record as one line: time, instance, event and the other keys."""
    who = record.get("instance") or record.get("service", "?")
    level = record.get("level", "info")
    warning = "" if level in {"info", "debug"} else f"{level.upper()} "
    more = "  ".join(
        f"{key}={_short(value)}" for key, value in record.items() if key not in _PLAIN and value is not None
    )
    return f"{record.get('timestamp', '')[11:19]:>8}  {who:<14} {warning}{record.get('event', '')}  {more}".rstrip()


def _short(value: object) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}…"


def _print_transcript(text: str, job: dict[str, Any]) -> None:
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, WIDTH) or [""]]
    shown = lines[:TRANSCRIPT_LINES] or [job["reason"] or "(no speech)"]
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown)} more lines")
    rule = "─" * WIDTH
    print("\n".join(["", rule, *shown, rule]), flush=True)


def _timings(job: dict[str, Any], seconds: float) -> list[list[str]]:
    timings = job["timings"]
    rows = [
        ["recording", f"{job['duration_seconds'] or 0:.1f} s, {job['speech_seconds'] or 0:.1f} s of speech"],
        ["language", str(job["language"] or "none")],
        ["waited", _seconds(timings["queue_seconds"])],
        ["transcription", _seconds(timings["transcription_seconds"])],
        ["enrichment", _seconds(timings["enrichment_seconds"])],
        ["from sending to text", f"{seconds:.1f} s"],
    ]
    if timings["real_time_factor"]:
        rows.append(["speed", f"{timings['real_time_factor']:.1f} × real time"])
    return rows


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _where_next(url: str, job: dict[str, Any], state: StateFolder) -> list[list[str]]:
    return [
        ["other formats", f"GET {url}/jobs/{job['id']}/download?format=srt|vtt|json|tsv|docx (while it runs)"],
        ["every log record", f"{state.logs}/<program>/"],
        ["your recording", "make demo FILE=path"],
        ["to stay", "make up, then the web page in its summary"],
        ["how it works", "docs/life-of-a-job.md"],
    ]
