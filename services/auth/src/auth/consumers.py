"""Messages in: what the process reacts to is the table at the end."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.events import ResetRequested
from common.messaging import Subscriptions

from .notices import Notices
from .removal import Removal


async def on_reset_requested(event: ResetRequested, session: AsyncSession, notices: Notices) -> None:
    """All other accounts are deleted, if that is wanted."""
    if event.users:
        await Removal(session, notices).delete_others(event)


SUBSCRIPTIONS: Subscriptions[Notices] = {ResetRequested: on_reset_requested}
