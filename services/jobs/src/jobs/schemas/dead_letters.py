"""HTTP bodies of dead letters."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

_SUMMARY: dict[str, Any] = {
    "id": 17,
    "received_at": "2026-01-31T12:00:00Z",
    "queue": "work.chunk.base",
    "reason": "delivery_limit",
    "deliveries": 3,
    "routing_key": "work.chunk.base",
    "message_type": "work.chunk",
    "job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
    "replayed_at": None,
    "replayed_by": None,
}


class DeadLetterSummary(BaseModel):
    """A dead-lettered message."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SUMMARY]})

    id: int
    received_at: datetime
    queue: str = Field(description="The queue that dead-lettered it.")
    reason: str = Field(
        description="rejected: it was not readable. delivery_limit: its handler failed on each delivery."
    )
    deliveries: int
    routing_key: str
    message_type: str | None = Field(description="null = unknown type.")
    job_id: UUID | None
    replayed_at: datetime | None = Field(description="Time of the replay; null = not replayed.")
    replayed_by: UUID | None


class DeadLetterView(DeadLetterSummary):
    """A dead-lettered message with its headers and payload."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _SUMMARY
                | {
                    "headers": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
                    "payload": {"job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10", "attempt": 1, "chunk": 3},
                }
            ]
        }
    )

    headers: dict[str, Any]
    payload: Any = Field(description="The message as JSON, or as text if it is not JSON.")


class DeadLetterPage(BaseModel):
    """A page of dead letters, newest first."""

    items: list[DeadLetterSummary]
    next_cursor: int | None = Field(description="Pass it back to get the next page; null = this is the last page.")
