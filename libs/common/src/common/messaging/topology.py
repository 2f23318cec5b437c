"""The exchanges and queues of the platform: the only place that spells their names."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from common.events import SUBSCRIBERS
from common.events.queues import LOG_ARCHIVE, STANDING_WORK

ListenExchange = Literal["logs", "archive", "control"]

EVENTS = "events"
WORK = "work"
LOGS = "logs"
# The same lines once more, after the archive numbered them: the order that everybody who watches sees.
ARCHIVE = "archive"
# A topic, so that the broker can check by routing key who sends which notice. The first version was a fanout, and the
# type of an exchange cannot be changed.
CONTROL = "control.v2"
DEAD = "dead"

LISTENED: MappingProxyType[ListenExchange, str] = MappingProxyType(
    {"logs": LOGS, "archive": ARCHIVE, "control": CONTROL}
)


def own_exchange(service: str) -> str:
    """The exchange by which a service reaches its own queues, and no other: the default one reaches every queue."""
    return f"{service}.own"


SUBSCRIBED = tuple(sorted({service for services in SUBSCRIBERS.values() for service in services}))

EXCHANGES = MappingProxyType(
    {EVENTS: "topic", WORK: "direct", LOGS: "topic", ARCHIVE: "fanout", CONTROL: "topic", DEAD: "topic"}
    | dict.fromkeys(map(own_exchange, SUBSCRIBED), "direct")
)

# A delivery limit of n makes n + 1 deliveries before a message is dead-lettered.
_WORK_DELIVERY_LIMIT = 2
_EVENT_DELIVERY_LIMIT = 4
_NO_DELIVERY_LIMIT = 1_000_000
_LOGS_KEPT = 100_000


@dataclass(frozen=True)
class QueueSpec:
    """A durable queue: its name, its arguments, and the (exchange, key) pairs it is bound with.

    Declaring a queue again with other arguments is refused by the broker: a changed queue needs a new name. `standing`
    queues are there from the start; where the broker's owner declares them, only who consumes from one does so too.
    """

    name: str
    arguments: dict[str, Any]
    bindings: tuple[tuple[str, str], ...] = field(default=())
    standing: bool = True

    @property
    def straight(self) -> tuple[str, str]:
        """The exchange and the key that lead to this queue alone."""
        return next(binding for binding in self.bindings if binding[1] == self.name)


def event_queue(service: str) -> QueueSpec:
    """The queue of all events that a service subscribed to."""
    keys = (event.routing_key for event, services in SUBSCRIBERS.items() if service in services)
    name = f"{service}.events"
    bindings = (*((EVENTS, key) for key in keys), straight_to(name))
    return QueueSpec(name, _kept(_EVENT_DELIVERY_LIMIT), bindings)


def straight_to(queue: str) -> tuple[str, str]:
    """The exchange and the key that lead to a service's queue of events alone, by the queue's name."""
    return own_exchange(queue.partition(".")[0]), queue


def work_queue(name: str) -> QueueSpec:
    """A queue of work; those of a model appear with the model."""
    return QueueSpec(name, _kept(_WORK_DELIVERY_LIMIT), ((WORK, name),), name in STANDING_WORK)


DEAD_LETTERS = QueueSpec(
    "dead-letters",
    # Newer brokers have a limit by default, after which a message without a dead letter exchange is gone.
    {"x-queue-type": "quorum", "x-delivery-limit": _NO_DELIVERY_LIMIT},
    ((DEAD, "#"),),
)

JOBS_LOGS = QueueSpec(
    LOG_ARCHIVE,
    {"x-queue-type": "classic", "x-max-length": _LOGS_KEPT, "x-overflow": "drop-head"},
    ((LOGS, "#"),),
)


def standing_queues() -> Iterable[QueueSpec]:
    """Every queue that exists from the start, so that a message published before its first consumer came is kept.

    Queues of chunk work are missing: there is one for each model, declared when the model is first heard of.
    """
    return (
        DEAD_LETTERS,
        *map(event_queue, SUBSCRIBED),
        *map(work_queue, STANDING_WORK),
        JOBS_LOGS,
    )


def witness(service: str) -> QueueSpec:
    """The queue by which a service sees whether the broker has lost everything; what is sent to it is gone at once."""
    name = f"{service}.witness"
    return QueueSpec(name, {"x-queue-type": "classic", "x-message-ttl": 0}, (straight_to(name),), standing=False)


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
