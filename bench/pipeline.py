"""The job machinery with the canned engine: jobs and chunks per second, latencies, and a growing catalogue.

    PYTHONPATH=tests python -m bench.pipeline

A separate fleet with the canned engine and `BENCH_WORKERS` (1) transcribers takes `BENCH_JOBS` (300) recordings of
three seconds, sent by `BENCH_UPLOADERS` (16) clients at once, all on the machine that is measured. Each goes
through all steps: upload, plan, chunk, assembly, metadata. Then rows are added until the catalogue holds 1,000, 10,000
and 100,000 jobs (`BENCH_SIZES`), and at each size `GET /jobs` and further recordings are measured.

It also reports a figure that does not depend on the load of the machine: the processor time per job of every program,
whose sum limits the throughput of two cores.
"""

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx

from bench import report
from native import bootstrap, postgres
from native.fleet import Fleet
from native.settings import NativeSettings
from support import recordings
from support.fleets import PATIENT
from support.platform_client import PlatformClient

JOBS = int(os.environ.get("BENCH_JOBS", "300"))
UPLOADERS = int(os.environ.get("BENCH_UPLOADERS", "16"))
WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))
SIZES = tuple(int(size) for size in os.environ.get("BENCH_SIZES", "1000,10000,100000").split(",") if size)
READS: Final = 200
COMMAND = "PYTHONPATH=tests python -m bench.pipeline"
# Limits high enough that they do not bound the throughput with an engine that costs nothing.
BUSY = {"MAX_CONCURRENT_JOBS": "64", "CHUNKS_IN_FLIGHT_PER_WORKER": "16", "QUOTA_QUEUED_JOBS": "0"}
CORES: Final = 2

_SEED = """
    INSERT INTO jobs (id, owner_id, file_name, content_type, size_bytes, sha256, source_key, options, correlation_id,
                      state, attempt, created_at, queued_at, turn_at, started_at, finished_at, duration_seconds, search)
    SELECT gen_random_uuid(), CASE WHEN n % 2 = 0 THEN $1::uuid ELSE gen_random_uuid() END, 'talk.mp3', 'audio/mpeg', 1,
           md5(n::text) || md5(n::text), 'uploads/x/source', '{"model": "base"}', 'c', 'completed', 1,
           moment, moment, moment, moment, moment + interval '1 minute', n % 3600,
           to_tsvector('simple', 'talk w' || n % 5000)
    FROM generate_series(1, $2::int) AS n, LATERAL (SELECT now() - make_interval(secs => 600 + n) AS moment) AS old
"""


@dataclass(frozen=True)
class Run:
    """Recordings through the whole pipeline."""

    jobs: int
    chunks: int
    seconds: float
    latencies: Sequence[float]  # from creation to completion
    first_texts: Sequence[float]  # from creation to the transcript
    cpu: Counter[str]  # milliseconds by program

    @property
    def cpu_per_job(self) -> float:
        """Milliseconds of processor per job, all programs together."""
        return sum(self.cpu.values()) / self.jobs


async def main() -> None:
    """Measure, print, and write the section of the page."""
    audio = recordings.encoded(recordings.speech()[: 3 * recordings.RATE], "wav", "pcm_s16le")
    with tempfile.TemporaryDirectory() as folder, _fleet(Path(folder)) as fleet:
        database = await _database(fleet)
        user = PlatformClient(fleet.url("gateway"), *fleet.credentials)
        owner = user.http.get("/me").raise_for_status().json()["user_id"]
        headers = {"Authorization": f"Bearer {user.token}"}
        async with httpx.AsyncClient(base_url=fleet.url("gateway"), timeout=120, headers=headers) as client:
            await _through(fleet, client, database, audio, 20)  # warm-up
            idle = await _idle(fleet)
            main_run = await _through(fleet, client, database, audio, JOBS)
            _say(main_run, idle)
            growth = []
            for size in SIZES:
                held = await database.fetchval("SELECT count(*) FROM jobs")
                await database.execute(_SEED, owner, max(0, size - held))
                await database.execute("VACUUM ANALYZE jobs")
                reads = await _reads(client)
                growth.append((size, reads, await _through(fleet, client, database, audio, max(20, JOBS // 4))))
                shown = f"p50 {_percentile(reads, 50):.1f} ms, p99 {_percentile(reads, 99):.1f} ms"
                print(f"{size:>7} jobs: GET /jobs {shown}")
        user.close()
        await database.close()
    _write(main_run, growth, idle)


def _write(run: Run, growth: Sequence[tuple[int, list[float], Run]], idle: float) -> None:
    latencies = [
        (name, *(f"{_percentile(values, rank):.2f}" for rank in (50, 95, 99)))
        for name, values in (("to the transcript", run.first_texts), ("to the end, with metadata", run.latencies))
    ]
    net = run.cpu_per_job - idle * run.seconds / run.jobs
    bound = CORES * (1000 - idle / CORES) / net
    summary = (
        f"{run.jobs} recordings of 3 s, {UPLOADERS} clients, {WORKERS} worker(s) with the canned engine: "
        f"**{run.jobs / run.seconds:.1f} jobs/s**, {run.chunks / run.seconds:.1f} chunks/s. "
        f"All programs together need {net:.0f} ms of processor per job, and {idle:.0f} ms per second when idle, "
        f"which bounds {CORES} cores to {bound:.0f} jobs/s (budget: 50). The tables below include the idle time."
    )
    settings = ", ".join(f"{name}={BUSY[name]}" for name in ("MAX_CONCURRENT_JOBS", "CHUNKS_IN_FLIGHT_PER_WORKER"))
    sections = [
        summary,
        report.table(("seconds from creation", "p50", "p95", "p99"), latencies),
        report.table(
            ("program", "CPU ms per job"),
            [(name, f"{spent / run.jobs:.1f}") for name, spent in run.cpu.most_common() if spent > 10],
        ),
        report.table(
            ("jobs in the catalogue", "GET /jobs p50 ms", "p99 ms", "jobs/s", "CPU ms per job"),
            [
                (
                    f"{size:,}",
                    f"{_percentile(reads, 50):.1f}",
                    f"{_percentile(reads, 99):.1f}",
                    f"{more.jobs / more.seconds:.1f}",
                    f"{more.cpu_per_job:.0f}",
                )
                for size, reads, more in growth
            ],
        ),
        report.bars(
            "pipeline",
            "Processor time per job by program",
            "ms",
            [(name, [spent / run.jobs]) for name, spent in run.cpu.most_common(9)],
            ["CPU"],
        ),
        report.provenance(
            COMMAND,
            ("fastapi", "sqlalchemy", "asyncpg", "aio-pika"),
            note=f"{settings}; the uploading clients share the machine.",
        ),
    ]
    report.write_section("pipeline", "\n\n".join(sections))


@contextmanager
def _fleet(state: Path) -> Iterator[Fleet]:
    settings = NativeSettings().model_copy(update={"state_dir": state, "transcribers": WORKERS, "gateway_port": 0})
    extra = PATIENT | {"*": {"ENVIRONMENT": "test"}, "transcriber": {"ENGINE": "canned"}, "jobs": BUSY}
    with Fleet(state, settings, extra=extra).running() as fleet:
        yield fleet


async def _database(fleet: Fleet) -> Any:
    port = fleet.state.ports(postgres.NAME)[postgres.NAME]
    password = bootstrap.role_password(fleet.state, "jobs")
    url = postgres.service_url(port, "jobs", password, bootstrap.DATABASE).replace("postgresql+asyncpg", "postgresql")
    return await asyncpg.connect(url)


async def _through(fleet: Fleet, client: httpx.AsyncClient, database: Any, audio: bytes, jobs: int) -> Run:
    """Send recordings and wait until every one of them is completed."""
    before, began = _cpu(fleet), time.monotonic()
    moment = await database.fetchval("SELECT clock_timestamp()")
    left = iter(range(jobs))

    async def upload() -> None:
        for number in left:
            # Each recording differs, so that none is a repetition of another.
            files = {"file": (f"{number}.wav", audio[: len(audio) - 2 * number])}
            (await client.post("/jobs", files=files, data={"language": "en"})).raise_for_status()

    async def ended() -> bool:
        rows = await database.fetch("SELECT state, count(*) FROM jobs WHERE created_at > $1 GROUP BY state", moment)
        states = {row["state"]: row["count"] for row in rows}
        assert set(states) <= {"queued", "processing", "enriching", "completed"}, states
        return bool(states.get("completed", 0) == jobs)

    await asyncio.gather(*(upload() for _ in range(UPLOADERS)))
    await _until(ended)
    seconds = time.monotonic() - began
    spent = _cpu(fleet)
    spent.subtract(before)
    rows = await database.fetch(
        "SELECT extract(epoch FROM finished_at - created_at)::float AS whole,"
        " extract(epoch FROM transcribed_at - created_at)::float AS text, chunks_done FROM jobs WHERE created_at > $1",
        moment,
    )
    return Run(
        jobs=jobs,
        chunks=sum(row["chunks_done"] for row in rows),
        seconds=seconds,
        latencies=[row["whole"] for row in rows],
        first_texts=[row["text"] for row in rows],
        cpu=spent,
    )


async def _idle(fleet: Fleet, seconds: float = 10) -> float:
    """Processor milliseconds per second of the idle platform."""
    before = _cpu(fleet)
    await asyncio.sleep(seconds)
    return (_cpu(fleet).total() - before.total()) / seconds


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 300
    while not await condition():
        assert time.monotonic() < deadline, "the jobs do not end"
        await asyncio.sleep(0.1)


async def _reads(client: httpx.AsyncClient) -> list[float]:
    """Durations in milliseconds of sequential listings, as a page requests them."""
    times = []
    for number in range(READS):
        params: dict[str, str] = [{}, {"state": "completed"}, {"sort": "finished_at"}, {"limit": "20"}][number % 4]
        began = time.perf_counter()
        (await client.get("/jobs", params=params)).raise_for_status()
        times.append(1000 * (time.perf_counter() - began))
    return times


def _cpu(fleet: Fleet) -> Counter[str]:
    """Processor milliseconds of every program so far, with its children."""
    spent: Counter[str] = Counter()
    for row in fleet.state.published()["programs"]:
        if row["pid"]:
            for pid in _family(row["pid"]):
                with suppress(OSError):  # the process has ended; its time is counted in its parent
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    spent[row["name"]] += 1000 * sum(int(field) for field in fields[11:15]) // os.sysconf("SC_CLK_TCK")
    return spent


def _family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _percentile(values: Sequence[float], rank: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(rank / 100 * (len(ordered) - 1)))]


def _say(run: Run, idle: float) -> None:
    print(f"{run.jobs} jobs in {run.seconds:.1f} s: {run.jobs / run.seconds:.1f} jobs/s, {run.chunks} chunks")
    print(f"latency p50 {_percentile(run.latencies, 50):.2f} s, p99 {_percentile(run.latencies, 99):.2f} s")
    for name, spent in run.cpu.most_common():
        print(f"{name:<16} {spent / run.jobs:7.1f} ms CPU per job")
    print(f"{'all':<16} {run.cpu_per_job:7.1f} ms CPU per job")
    net = run.cpu_per_job - idle * run.seconds / run.jobs
    print(f"idle: {idle:.0f} ms CPU per second; net of that {net:.0f} ms per job")


if __name__ == "__main__":
    asyncio.run(main())
