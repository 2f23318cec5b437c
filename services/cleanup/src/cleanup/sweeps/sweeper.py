"""The loop that runs the rules: deletions at once, all rules once an interval, on one replica at a time."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cleanup.metrics import LAST_ROUND, SWEEP_FAILURES, SWEEP_SECONDS
from cleanup.repository.config import ConfigStore
from cleanup.repository.jobs import CHANNEL
from cleanup.repository.reports import ReportRepository
from cleanup.settings import Settings
from common import context
from common.database import Notifications

from . import rules

log = structlog.get_logger(__name__)

Rule = Callable[[rules.Resources], Awaitable[int]]

ON_REQUEST: tuple[Rule, ...] = (rules.delete_tombstoned, rules.give_up_uploads)
ON_SCHEDULE: tuple[Rule, ...] = (
    rules.expire_jobs,
    rules.drop_chunk_audio,
    rules.collect_orphans,
    rules.find_orphans,
    rules.delete_tombstoned,  # again, for the reopened tombstones
    rules.abort_uploads,
)


class Sweeper:
    """Runs the rules until cancelled."""

    def __init__(self, engine: AsyncEngine, resources: rules.Resources) -> None:
        self._engine = engine
        self._resources = resources
        self._last_round: float | None = None  # monotonic seconds; None: the first round is due at once

    async def run(self) -> None:
        """Run due rules on a notification and after the poll interval; run all rules after the interval."""
        async with Notifications(self._engine, CHANNEL) as notifications:
            while True:
                # Process a request that arrived during the sweep.
                while await self.sweep() and await self._requested():
                    pass
                await notifications.wait(self._resources.settings.cleanup_poll_seconds)

    async def sweep(self) -> bool:
        """Run what is due; False if another replica is sweeping."""
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

    async def _requested(self) -> bool:
        async with self._resources.sessions() as session:
            return await ReportRepository(session).waiting()

    async def _run(self, rule: Rule, resources: rules.Resources) -> bool:
        """Run a rule until nothing is due; False if it fails, which does not stop the other rules."""
        started = time.monotonic()
        try:
            while await rule(resources) >= rules.LIMIT:
                pass
        except Exception:
            SWEEP_FAILURES.labels(_name(rule)).inc()
            log.exception("rule failed", rule=_name(rule))
            return False
        finally:
            SWEEP_SECONDS.labels(_name(rule)).observe(time.monotonic() - started)
        return True

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        """Take the advisory lock if it is free, on a separate connection whose end releases it."""
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
