"""The announcement of paused workers to the transcribers."""

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.database import Notifications, is_outage
from common.events import PauseWorkers
from common.messaging import Broker
from jobs.repository.concurrency import WAKE_ANNOUNCER
from jobs.service import ConcurrencyLimits
from jobs.settings import Settings

# Upper bound of the time that a worker that has just started, or missed an announcement, does not know it is paused.
_REPEAT_SECONDS = 5.0


class Announcer:
    """Broadcasts the paused workers: at once after a change, and repeatedly for workers that have just started."""

    def __init__(
        self, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], broker: Broker, settings: Settings
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._broker = broker
        self._settings = settings

    async def run(self) -> None:
        """Broadcast for ever."""
        async with Notifications(self._engine, WAKE_ANNOUNCER) as notifications:
            while True:
                try:
                    async with self._sessions() as session:
                        paused = await ConcurrencyLimits(session, self._settings).paused_workers()
                except Exception as error:
                    if not is_outage(error):
                        raise
                else:
                    await self._broker.broadcast(PauseWorkers(workers=paused))
                await notifications.wait(_REPEAT_SECONDS)
