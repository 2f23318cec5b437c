"""A serialised message, as stored in the outbox and sent to the broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from common import context
from common.events import BY_ROUTING_KEY, SUBSCRIBERS, Command, Event

from .topology import EVENTS, WORK


@dataclass(frozen=True)
class Envelope:
    """A serialised message with its address; independent of the classes in the catalogue."""

    exchange: str
    routing_key: str
    message_id: str
    message_type: str
    correlation_id: str
    traceparent: str | None
    body: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, message: Event | Command, headers: Mapping[str, Any] | None = None) -> Self:
        """Serialise an event for its exchange or a command for its queue, with the current trace context."""
        address = (EVENTS, message.routing_key) if isinstance(message, Event) else (WORK, message.queue)
        return cls(
            *address,
            message_id=str(message.event_id),
            message_type=message.type_name(),
            correlation_id=message.correlation_id,
            traceparent=context.traceparent(),
            body=message.model_dump_json().encode(),
            headers=headers or {},
        )

    @property
    def mandatory(self) -> bool:
        """Whether the broker must return the message when no queue is bound for it."""
        if self.exchange != EVENTS:
            return True
        event = BY_ROUTING_KEY.get(self.routing_key)
        return event is not None and bool(SUBSCRIBERS[event])
