"""When the rules run: deletions as soon as they are told, all rules once an interval, on one replica at a time."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common import context
from common.database import Notifications

from . import sweeps
from .config import ConfigStore
from .metrics import LAST_ROUND, SWEEP_FAILURES, SWEEP_SECONDS
from .reports import ReportRepository
from .repository import CHANNEL
from .settings import Settings

log = structlog.get_logger(__name__)

Rule = Callable[[sweeps.Resources], Awaitable[int]]

ON_REQUEST: tuple[Rule, ...] = (sweeps.delete_tombstoned, sweeps.give_up_uploads)
ON_SCHEDULE: tuple[Rule, ...] = (
    sweeps.expire_jobs,
    sweeps.drop_chunk_audio,
    sweeps.collect_orphans,
    sweeps.find_orphans,
    sweeps.delete_tombstoned,  # once more, for the tombstones that were opened again
    sweeps.abort_uploads,
)


class Sweeper:
    """Runs the rules for ever."""

    def __init__(self, engine: AsyncEngine, resources: sweeps.Resources) -> None:
        """Nothing connects yet."""
        self._engine = engine
        self._resources = resources
        self._last_round: float | None = None  # monotonic seconds; None: the first round is due at once

    async def run(self) -> None:
        """Sweep when the database rings, when the poll interval is over, and fully when the interval is over."""
        async with Notifications(self._engine, CHANNEL) as notifications:
            while True:
                # A request that came while the sweep ran is next.
                while await self.sweep() and await self._asked():
                    pass
                await notifications.wait(self._resources.settings.cleanup_poll_seconds)

    async def sweep(self) -> bool:
        """Run what is due; False when another replica is at it."""
        async with self._alone() as alone:
            if not alone:
                return False
            with context.bound():
                async with self._resources.sessions.begin() as session:
                    settings = await ConfigStore(session, self._resources.settings).effective()
                    report = await ReportRepository(session).begin(due=self._due(settings))
                resources, started_at = replace(self._resources, settings=settings), datetime.now(UTC)
                failed = [rule for rule in ON_REQUEST if not await self._run(rule, resources)]
                if report is not None:
                    failed += [rule for rule in ON_SCHEDULE if not await self._run(rule, resources)]
                    self._last_round = time.monotonic()
                    LAST_ROUND.set_to_current_time()
                async with self._resources.sessions.begin() as session:
                    broken = sorted({_name(rule) for rule in failed})
                    await ReportRepository(session).finish(report.id if report else None, started_at, broken)
        return True

    def _due(self, settings: Settings) -> bool:
        if not settings.cleanup_enabled:
            return False
        return self._last_round is None or time.monotonic() - self._last_round >= settings.cleanup_interval_seconds

    async def _asked(self) -> bool:
        async with self._resources.sessions() as session:
            return await ReportRepository(session).waiting()

    async def _run(self, rule: Rule, resources: sweeps.Resources) -> bool:
        """Run a rule until nothing is left for it; its trouble is its own, the next rule runs all the same."""
        started = time.monotonic()
        try:
            while await rule(resources) >= sweeps.LIMIT:
                pass
        except Exception:
            SWEEP_FAILURES.labels(_name(rule)).inc()
            log.exception("a sweep broke off, the next round repeats it", rule=_name(rule))
            return False
        finally:
            SWEEP_SECONDS.labels(_name(rule)).observe(time.monotonic() - started)
        return True

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        """Hold the advisory lock, if it is free, on a connection of its own: it goes when the connection does."""
        lock = "hashtextextended(current_schema() || '/sweep', 0)"
        async with self._engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            alone = bool(await connection.scalar(text(f"SELECT pg_try_advisory_lock({lock})")))
            try:
                yield alone
            finally:
                if alone:
                    await connection.execute(text(f"SELECT pg_advisory_unlock({lock})"))


def _name(rule: Rule) -> str:
    return getattr(rule, "__name__", "rule")
