"""What every message on the bus has in common."""

from abc import abstractmethod
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from common import context


def _now() -> datetime:
    return datetime.now(UTC)


def _correlation_id() -> str:
    return context.correlation_id() or context.new_correlation_id()


class Message(BaseModel):
    """Anything that travels on the bus: immutable, identified, and tied to the request that caused it.

    Unknown fields are ignored, so that a publisher may add an optional field before every consumer knows it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: UUID = Field(default_factory=uuid4)
    occurred_at: AwareDatetime = Field(default_factory=_now)
    correlation_id: str = Field(default_factory=_correlation_id)

    @classmethod
    @abstractmethod
    def type_name(cls) -> str:
        """Name of the message type on the wire, and of its golden schema."""


class Event(Message):
    """A fact in the past tense; it goes to every service that subscribed to its routing key."""

    routing_key: ClassVar[str]

    @classmethod
    def type_name(cls) -> str:
        """Name of an event on the wire: its versioned routing key."""
        return cls.routing_key


class Command(Message):
    """Work with exactly one taker at a time."""

    name: ClassVar[str]

    @classmethod
    def type_name(cls) -> str:
        """Name of a command on the wire."""
        return cls.name

    @property
    @abstractmethod
    def queue(self) -> str:
        """The work queue that takes this command."""

    @property
    @abstractmethod
    def key(self) -> str:
        """Stable identity of the work itself: a copy or a redelivery of the command has the same key."""


class Notice(Message):
    """A best-effort announcement to every running process over the control exchange."""

    name: ClassVar[str]

    @classmethod
    def type_name(cls) -> str:
        """Name of a notice on the wire."""
        return cls.name
