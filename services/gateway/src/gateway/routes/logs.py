"""Log streams over WebSockets."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, WebSocket

from .dependencies import ResourcesDep

router = APIRouter()

After = Annotated[int, Query(ge=0, lt=2**63, description="The cursor of the last message that was received.")]


@router.websocket("/ws/logs/system")
async def system_log(socket: WebSocket, resources: ResourcesDep, after: After = 0) -> None:
    await resources.logs.of_system(socket, after)


@router.websocket("/ws/logs/{job_id}")
async def job_log(socket: WebSocket, job_id: UUID, resources: ResourcesDep, after: After = 0) -> None:
    await resources.logs.of_job(socket, job_id, after)
