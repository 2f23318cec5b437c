"""The log stream's budget: 1,000 viewers on one gateway, p99 delivery at most 250 ms.

    PYTHONPATH=tests python -m bench.logstream

A separate fleet, one job, `BENCH_VIEWERS` (1000) WebSockets in other processes, and `BENCH_RATE` (10) lines a
second for `BENCH_SECONDS` (20). A line's delivery is the time from its timestamp, made where it was logged, to its
arrival at a viewer: through the bus, into the archive, over the bus to the gateway, and out of it.

It also reports figures that do not depend on the load of the machine: the gateway's processor time per thousand
deliveries, and the number of gaps, for which all viewers read the archive.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
from websockets.asyncio.client import connect

from bench import report
from common.logging import LogSink
from common.messaging import Broker, LogPublisher
from common.settings import BrokerSettings
from native import rabbitmq
from support.fleets import canned_fleet

VIEWERS = int(os.environ.get("BENCH_VIEWERS", "1000"))
RATE = float(os.environ.get("BENCH_RATE", "10"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
PROCESSES = 2
LAST = "the last line"
COMMAND = "PYTHONPATH=tests python -m bench.logstream"


def main() -> None:
    """Measure, print, and write the section of the page."""
    with tempfile.TemporaryDirectory() as folder, canned_fleet(Path(folder)) as fleet:
        url, (username, password) = fleet.url("gateway"), fleet.credentials
        answer = httpx.post(f"{url}/token", data={"username": username, "password": password})
        token = answer.raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        job = (
            httpx.post(f"{url}/jobs", files={"file": ("a.wav", b"no sound")}, headers=headers).raise_for_status().json()
        )
        address = f"{url.replace('http', 'ws', 1)}/ws/logs/{job['id']}"
        ready = multiprocessing.Semaphore(0)
        results: multiprocessing.Queue[tuple[list[float], float]] = multiprocessing.Queue()
        share = VIEWERS // PROCESSES
        watchers = [
            multiprocessing.Process(target=_watch, args=(address, token, share, ready, results))
            for _ in range(PROCESSES)
        ]
        for watcher in watchers:
            watcher.start()
        for _ in range(share * PROCESSES):
            ready.acquire()
        broker = rabbitmq.url(fleet.state, fleet.state.ports(rabbitmq.NAME)[rabbitmq.NAME])
        before = _figures(url, headers)
        asyncio.run(_publish(BrokerSettings(broker_url=broker), job["id"]))
        watched = [results.get(timeout=120) for _ in watchers]
        after = _figures(url, headers)
        for watcher in watchers:
            watcher.join()
    delays = [delay for each, _ in watched for delay in each]
    gateway, gaps = (late - early for early, late in zip(before, after, strict=True))
    _report(delays, gateway, sum(spent for _, spent in watched), gaps)


def _figures(url: str, headers: dict[str, str]) -> tuple[float, float]:
    """The gateway's processor seconds, and the gaps that it found between batches of the archive."""
    lines = httpx.get(f"{url}/metrics", headers=headers).raise_for_status().text.splitlines()
    values = dict(line.split(" ", 1) for line in lines if not line.startswith("#") and "{" not in line)
    return float(values["process_cpu_seconds_total"]), float(values["verbatim_gateway_log_gaps_total"])


def _report(delays: list[float], gateway: float, viewers: float, gaps: float) -> None:
    quantiles = statistics.quantiles(delays, n=100)
    each = 1e6 / len(delays)
    measured = report.table(
        ("what", "measured"),
        [
            ("deliveries", f"{len(delays):,}"),
            ("median", f"{statistics.median(delays) * 1000:.0f} ms"),
            ("99th percentile", f"{quantiles[98] * 1000:.0f} ms"),
            ("longest", f"{max(delays) * 1000:.0f} ms"),
            ("gateway's processor time per 1,000 deliveries", f"{gateway * each:.0f} ms"),
            ("the viewers' processor time, on the same machine", f"{viewers * each:.0f} ms"),
            ("gaps, for which viewers read the archive", f"{gaps:.0f}"),
        ],
    )
    summary = f"{VIEWERS} viewers of one job on one gateway, {RATE:g} lines a second for {SECONDS:g} s. Budget: 250 ms."
    print(f"{summary}\n\n{measured}")
    report.write_section("logstream", f"{summary}\n\n{measured}\n\n{report.provenance(COMMAND, ('websockets',))}")


async def _publish(settings: BrokerSettings, job_id: str) -> None:
    broker, sink = await Broker.connect(settings, "bench"), LogSink()
    publisher = asyncio.create_task(LogPublisher(broker, sink).run())
    for number in range(int(RATE * SECONDS) + 1):
        event = "benchmark line" if number < int(RATE * SECONDS) else LAST
        record = {"log_id": uuid4().hex, "timestamp": datetime.now(UTC).isoformat(), "level": "info", "event": event}
        sink.put(record | {"service": "transcriber", "job_id": job_id, "text": "x" * 100})
        await asyncio.sleep(1 / RATE)
    await asyncio.sleep(1)
    publisher.cancel()
    await asyncio.gather(publisher, return_exceptions=True)
    await broker.close()


def _watch(
    address: str, token: str, viewers: int, ready: object, results: "multiprocessing.Queue[tuple[list[float], float]]"
) -> None:
    moments: dict[str | bytes, float] = {}

    def moment_of(message: str | bytes) -> float:
        """The timestamp of a line; -1 for other records, 0 for the last one. Parsed once for all viewers."""
        if message not in moments:
            record = json.loads(message)
            logged = datetime.fromisoformat(record["timestamp"]).timestamp() if "timestamp" in record else 0.0
            moments[message] = {"benchmark line": logged, LAST: 0.0}.get(record["event"], -1.0)
        return moments[message]

    async def one(limit: asyncio.Semaphore) -> list[float]:
        delays = []
        async with limit:
            headers = {"Authorization": f"Bearer {token}"}
            socket = await connect(address, additional_headers=headers, proxy=None, open_timeout=60, compression=None)
        ready.release()  # type: ignore[attr-defined]
        async for message in socket:
            arrived, logged = time.time(), moment_of(message)
            if logged == 0.0:
                break
            if logged > 0.0:
                delays.append(arrived - logged)
        await socket.close()
        return delays

    async def all_of_them() -> list[float]:
        limit = asyncio.Semaphore(20)
        return [delay for each in await asyncio.gather(*(one(limit) for _ in range(viewers))) for delay in each]

    delays = asyncio.run(all_of_them())
    results.put((delays, time.process_time()))


if __name__ == "__main__":
    main()
