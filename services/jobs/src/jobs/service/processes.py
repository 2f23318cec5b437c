"""Ending the processes of the platform on an administrator's request."""

import structlog

from common.events import EndProcesses
from common.messaging import Broker
from common.web.identity import Identity
from jobs.errors import BusUnreachable, ServerControlDisabled
from jobs.schemas.figures import Ending
from jobs.settings import Settings

from .figures import Figures

log = structlog.get_logger(__name__)


async def end_processes(
    broker: Broker, settings: Settings, figures: Figures, admin: Identity, *, restart: bool
) -> Ending:
    """Broadcast the end of every service process; raises ServerControlDisabled, BusUnreachable."""
    if not settings.enable_server_control:
        raise ServerControlDisabled("Set ENABLE_SERVER_CONTROL=true for every service to allow this.")
    if not broker.connected:
        raise BusUnreachable("The broker is not connected, so the other processes cannot be reached. Retry later.")
    live = [each.instance for each in await figures.instances() if each.alive]
    log.warning("ending all processes", restart=restart, by=str(admin.user_id))
    await broker.broadcast(EndProcesses(restart=restart, requested_by=admin.user_id))
    return Ending(restart=restart, requested_by=admin.user_id, instances=live)
