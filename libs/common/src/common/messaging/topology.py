"""The exchanges and queues of the platform: the only place that spells their names."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from common.events import SUBSCRIBERS

ListenExchange = Literal["logs", "archive", "control"]

EVENTS = "events"
WORK = "work"
LOGS = "logs"
# The same lines once more, after the archive numbered them: the order that everybody who watches sees.
ARCHIVE = "archive"
CONTROL = "control"
DEAD = "dead"

EXCHANGES = MappingProxyType(
    {EVENTS: "topic", WORK: "direct", LOGS: "topic", ARCHIVE: "fanout", CONTROL: "fanout", DEAD: "topic"}
)

# A delivery limit of n makes n + 1 deliveries before a message is dead-lettered.
_WORK_DELIVERY_LIMIT = 2
_EVENT_DELIVERY_LIMIT = 4
_NO_DELIVERY_LIMIT = 1_000_000
_LOGS_KEPT = 100_000


@dataclass(frozen=True)
class QueueSpec:
    """A durable queue: its name, its arguments, and the (exchange, key) pairs it is bound with.

    Declaring a queue again with other arguments is refused by the broker: a changed queue needs a new name.
    """

    name: str
    arguments: dict[str, Any]
    bindings: tuple[tuple[str, str], ...] = field(default=())


def event_queue(service: str) -> QueueSpec:
    """The queue of all events that a service subscribed to."""
    keys = (event.routing_key for event, services in SUBSCRIBERS.items() if service in services)
    return QueueSpec(f"{service}.events", _kept(_EVENT_DELIVERY_LIMIT), tuple((EVENTS, key) for key in keys))


def work_queue(name: str) -> QueueSpec:
    """A queue of work."""
    return QueueSpec(name, _kept(_WORK_DELIVERY_LIMIT), ((WORK, name),))


DEAD_LETTERS = QueueSpec(
    "dead-letters",
    # Newer brokers have a limit by default, after which a message without a dead letter exchange is gone.
    {"x-queue-type": "quorum", "x-delivery-limit": _NO_DELIVERY_LIMIT},
    ((DEAD, "#"),),
)

JOBS_LOGS = QueueSpec(
    "jobs.logs",
    {"x-queue-type": "classic", "x-max-length": _LOGS_KEPT, "x-overflow": "drop-head"},
    ((LOGS, "#"),),
)


def standing_queues() -> Iterable[QueueSpec]:
    """Every queue that exists from the start, so that a message published before its first consumer came is kept.

    Queues of chunk work are missing: there is one for each model, declared when the model is first heard of.
    """
    services = sorted({service for listeners in SUBSCRIBERS.values() for service in listeners})
    return (
        DEAD_LETTERS,
        *(event_queue(service) for service in services),
        work_queue("work.plan"),
        work_queue("work.assemble"),
        JOBS_LOGS,
    )


def witness(service: str) -> QueueSpec:
    """The queue by which a service sees whether the broker has lost everything; what is sent to it is gone at once."""
    return QueueSpec(f"{service}.witness", {"x-queue-type": "classic", "x-message-ttl": 0})


def deliveries_until_dead(queue: str) -> int:
    """Tell how many deliveries a queue makes of one message before it dead-letters it."""
    return 1 + (_WORK_DELIVERY_LIMIT if queue.startswith("work.") else _EVENT_DELIVERY_LIMIT)


def _kept(delivery_limit: int) -> dict[str, Any]:
    """Arguments of a queue that loses nothing: what cannot be handled is dead-lettered, at least once."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": delivery_limit,
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        # The at-least-once strategy works with this overflow behaviour only.
        "x-overflow": "reject-publish",
    }
