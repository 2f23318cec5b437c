"""A soak: a stream of jobs, faults by a seeded schedule, and the invariants at the end.

`bench/soak.py` runs it on a platform of its own; the same seed injects the same faults in the same order.
"""

import asyncio
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from common.messaging.envelope import Envelope

from . import marked
from .chaos import Platform
from .invariants import violations
from .proxy import Proxy

LINKS = ("broker", "database", "store")
# Of each kind as many as its weight among twenty: (kind, weight).
KINDS = (("kill", 6), ("pause", 3), ("restart", 3), ("cut", 3), ("interrupt", 2), ("slow", 2), ("duplicate", 1))
LONGEST_FAULT = 4.0  # seconds
MOST_WAITING = 3  # jobs of the stream that are not over, or real Whisper would only ever fall behind


@dataclass(frozen=True)
class Fault:
    """One injection: `seconds` after the one before it was over, to one program or link, for a while."""

    after: float
    kind: str
    victim: str
    lasts: float


@dataclass
class Report:
    """What a soak found."""

    seed: int
    engine: str
    seconds: float = 0.0
    injections: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    refused_uploads: int = 0
    recoveries: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def losses(self) -> int:
        """Jobs that did not end with the transcript of an undisturbed run."""
        return sum(each.startswith("lost") for each in self.broken)

    @property
    def duplicates(self) -> int:
        """Jobs of which something was counted more than once."""
        return sum(each.startswith("counted twice") for each in self.broken)

    def document(self) -> dict[str, Any]:
        """The figures as JSON has them."""
        return {
            "seed": self.seed,
            "engine": self.engine,
            "seconds": round(self.seconds),
            "injections": dict(sorted(self.injections.items())),
            "jobs": self.jobs,
            "losses": self.losses,
            "duplicates": self.duplicates,
            "other_violations": len(self.broken) - self.losses - self.duplicates,
            "recovery_p50_seconds": _quantile(self.recoveries, 0.50),
            "recovery_p95_seconds": _quantile(self.recoveries, 0.95),
        }


def schedule(seed: int, victims: list[str]) -> "list[Fault]":
    """A thousand faults, the same for the same seed."""
    dice = random.Random(seed)
    kinds, weights = zip(*KINDS, strict=True)
    faults = []
    for _ in range(1000):
        kind = dice.choices(kinds, weights)[0]
        victim = dice.choice(LINKS) if kind in ("cut", "interrupt", "slow") else dice.choice(victims)
        faults.append(Fault(dice.uniform(0.5, 3.0), kind, victim, dice.uniform(0.5, LONGEST_FAULT)))
    return faults


class Soak:
    """One run on a platform that knows the undisturbed transcripts."""

    def __init__(self, platform: Platform, *, seed: int, engine: str, say: Callable[[str], None] = print) -> None:
        """Nothing happens yet."""
        self._platform = platform
        self._say = say
        self._dice = random.Random(seed + 1)
        # Servers die and hang as well as services do.
        victims = [*platform.services, *platform.fleet.transcribers, "postgres", "rabbitmq", "seaweedfs"]
        self._faults = schedule(seed, victims)
        self.report = Report(seed, engine)

    async def run(self, seconds: float, *, at_least: int = 1) -> Report:
        """Inject faults for so long, and so many at the least; then let everything end, and look at it."""
        began = time.monotonic()
        stream = asyncio.create_task(self._submit())
        try:
            for fault in self._faults:
                if time.monotonic() - began > seconds and self.report.injections.total() >= at_least:
                    break
                await asyncio.sleep(fault.after)
                await self._inject(fault)
        finally:
            stream.cancel()
            await asyncio.wait([stream])
        if not stream.cancelled():
            stream.result()
        self._platform.proxies.mend()
        self.report.broken = await violations(self._platform)
        self.report.jobs = len(self._platform.accepted)
        self.report.seconds = time.monotonic() - began
        return self.report

    async def _submit(self) -> None:
        """Send recordings for ever, most of them short, and no more than can be done: what waits must not grow."""
        waiting: list[str] = []
        while True:
            recording = marked.lengthy() if self._dice.random() < 0.25 else marked.brief()
            waiting.append(await self._platform.submit_patiently(recording))
            if len(waiting) > MOST_WAITING:
                await self._platform.finished(waiting.pop(0))
            await asyncio.sleep(self._dice.uniform(0.5, 3.0))

    async def _inject(self, fault: Fault) -> None:
        """Do it, undo it, and measure how long the platform takes to be well again and to finish a new job."""
        self._say(f"{fault.kind} {fault.victim} {fault.lasts:.1f} s")
        self.report.injections[fault.kind] += 1
        await getattr(self, f"_{fault.kind}")(fault)
        healed = time.monotonic()
        await self._platform.finished(await self._platform.submit_patiently(marked.brief()))
        await self._platform.healthy()
        self.report.recoveries.append(time.monotonic() - healed)

    async def _kill(self, fault: Fault) -> None:
        await self._platform.fleet.kill(fault.victim, signal.SIGKILL, hold=False)

    async def _restart(self, fault: Fault) -> None:
        await self._platform.fleet.stop(fault.victim)
        await self._platform.fleet.start(fault.victim)

    async def _pause(self, fault: Fault) -> None:
        await self._platform.fleet.kill(fault.victim, signal.SIGSTOP, hold=False)
        await asyncio.sleep(fault.lasts)
        await self._platform.fleet.kill(fault.victim, signal.SIGCONT, hold=False)

    async def _cut(self, fault: Fault) -> None:
        link = self._link(fault)
        link.cut()
        await asyncio.sleep(fault.lasts)
        link.mend()

    async def _interrupt(self, fault: Fault) -> None:
        for _ in range(2):
            self._link(fault).interrupt()
            await asyncio.sleep(fault.lasts / 4)

    async def _slow(self, fault: Fault) -> None:
        link = self._link(fault)
        link.slow(0.03)
        await asyncio.sleep(fault.lasts)
        link.mend()

    async def _duplicate(self, fault: Fault) -> None:
        """Publish the latest facts and the latest work once more."""
        async with self._platform.sql() as sql:
            rows = await sql.fetch(
                "SELECT * FROM jobs.outbox WHERE published_at IS NOT NULL ORDER BY seq DESC LIMIT 50"
            )
        async with self._platform.broker() as broker:
            for row in rows:
                names = ("exchange", "routing_key", "message_type", "correlation_id")
                address = {name: row[name] for name in names}
                await broker.send(
                    Envelope(**address, message_id=str(row["message_id"]), traceparent=None, body=row["body"].encode())
                )

    def _link(self, fault: Fault) -> Proxy:
        proxy: Proxy = getattr(self._platform.proxies, fault.victim)
        return proxy


def learn_undisturbed(platform: Platform) -> None:
    """Have each recording transcribed once while nothing goes wrong."""
    for recording in (marked.brief(), marked.lengthy()):
        job = platform.user.finished(platform.user.submit(f"{recording.name}.flac", recording.content))
        assert job["state"] == "completed", job
        platform.undisturbed[recording.name] = platform.user.download(job["id"], "json")


def _quantile(values: list[float], share: float) -> float | None:
    if len(values) < 2:
        return round(values[0], 1) if values else None
    return round(statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1], 1)
