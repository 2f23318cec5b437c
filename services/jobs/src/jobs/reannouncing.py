"""What a restored database needs before it serves again: facts told once more, and time that begins anew."""

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging import outbox

from .tables import Job


async def reannounce(session: AsyncSession) -> None:
    """Have all kept facts told again, and let running attempts count their time from now: meanwhile nobody could work.

    Unfinished work is sent when the broker turns out to be empty.
    """
    await outbox.reannounce(session)
    running = Job.state == text("'processing'")
    await session.execute(
        update(Job).where(running).values(started_at=func.now()), execution_options={"synchronize_session": False}
    )
