"""When the rules run: deletions as soon as they are told, all rules once an interval, on one replica at a time."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common import context
from common.database import Notifications

from . import sweeps
from .metrics import LAST_ROUND, SWEEP_FAILURES, SWEEP_SECONDS
from .repository import CHANNEL

log = structlog.get_logger(__name__)

Rule = Callable[[sweeps.Resources], Awaitable[int]]

ON_REQUEST: tuple[Rule, ...] = (sweeps.delete_tombstoned,)
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
        self._next_round = 0.0  # monotonic seconds: the first round is due at once

    async def run(self) -> None:
        """Sweep when the database rings, when the poll interval is over, and fully when the interval is over."""
        async with Notifications(self._engine, CHANNEL) as notifications:
            while True:
                await self.sweep()
                await notifications.wait(self._resources.settings.cleanup_poll_seconds)

    async def sweep(self) -> bool:
        """Run what is due; False when another replica is at it."""
        settings = self._resources.settings
        async with self._alone() as alone:
            if not alone:
                return False
            with context.bound():
                for rule in ON_REQUEST:
                    await self._run(rule)
                if settings.cleanup_enabled and time.monotonic() >= self._next_round:
                    for rule in ON_SCHEDULE:
                        await self._run(rule)
                    self._next_round = time.monotonic() + settings.cleanup_interval_seconds
                    LAST_ROUND.set_to_current_time()
        return True

    async def _run(self, rule: Rule) -> None:
        """Run a rule until nothing is left for it; its trouble is its own, the next rule runs all the same."""
        name = getattr(rule, "__name__", "rule")
        started = time.monotonic()
        try:
            while await rule(self._resources) >= sweeps.LIMIT:
                pass
        except Exception:
            SWEEP_FAILURES.labels(name).inc()
            log.exception("a sweep broke off, the next round repeats it", rule=name)
        SWEEP_SECONDS.labels(name).observe(time.monotonic() - started)

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
