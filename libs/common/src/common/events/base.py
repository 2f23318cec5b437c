"""The base classes of all messages."""

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
    """A message on the bus: immutable, with its own id and the correlation id of the request that caused it.

    Unknown fields are ignored, so that a publisher may add an optional field before its consumers are updated.
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
    """A fact in the past tense, delivered to every service that subscribes to its routing key."""

    routing_key: ClassVar[str]

    @classmethod
    def type_name(cls) -> str:
        """Name of an event on the wire: its versioned routing key."""
        return cls.routing_key


class Command(Message):
    """Work that one process executes at a time."""

    name: ClassVar[str]

    @classmethod
    def type_name(cls) -> str:
        """Name of a command on the wire."""
        return cls.name

    @property
    @abstractmethod
    def queue(self) -> str:
        """The work queue of this command."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The identity of the work: a copy or a redelivery of the command has the same key."""


class Notice(Message):
    """A best-effort broadcast to every running process over the control exchange."""

    name: ClassVar[str]

    @classmethod
    def type_name(cls) -> str:
        """Name of a notice on the wire."""
        return cls.name
