"""Event consumers; SUBSCRIPTIONS lists the events."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.events import ResetRequested
from common.messaging import Subscriptions

from .access.notices import Notices
from .accounts.removal import Removal


async def on_reset_requested(event: ResetRequested, session: AsyncSession, notices: Notices) -> None:
    """Delete all other accounts if the reset includes users."""
    if event.users:
        await Removal(session, notices).delete_others(event)


SUBSCRIPTIONS: Subscriptions[Notices] = {ResetRequested: on_reset_requested}
