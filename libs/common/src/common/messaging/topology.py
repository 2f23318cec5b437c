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
# Log records with their numbers in the archive: every viewer sees the same order.
ARCHIVE = "archive"
# A topic exchange, so that the broker can check by routing key which service sends which notice. The first version was
# a fanout, and the type of an exchange cannot be changed.
CONTROL = "control.v2"
DEAD = "dead"

LISTENED: MappingProxyType[ListenExchange, str] = MappingProxyType(
    {"logs": LOGS, "archive": ARCHIVE, "control": CONTROL}
)


def own_exchange(service: str) -> str:
    """The exchange that reaches only the queues of one service; the default exchange reaches every queue."""
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

    The broker refuses to declare a queue again with other arguments: a changed queue needs a new name. `standing`
    queues exist from the start; with BROKER_DECLARES=false a process declares only those that it consumes.
    """

    name: str
    arguments: dict[str, Any]
    bindings: tuple[tuple[str, str], ...] = field(default=())
    standing: bool = True

    @property
    def direct_address(self) -> tuple[str, str]:
        """The exchange and the routing key that reach only this queue."""
        return next(binding for binding in self.bindings if binding[1] == self.name)


def event_queue(service: str) -> QueueSpec:
    """The queue of all events that a service subscribed to."""
    keys = (event.routing_key for event, services in SUBSCRIBERS.items() if service in services)
    name = f"{service}.events"
    bindings = (*((EVENTS, key) for key in keys), direct_to(name))
    return QueueSpec(name, _kept(_EVENT_DELIVERY_LIMIT), bindings)


def direct_to(queue: str) -> tuple[str, str]:
    """The exchange and the routing key that reach only this event queue of a service."""
    return own_exchange(queue.partition(".")[0]), queue


def work_queue(name: str) -> QueueSpec:
    """A work queue; the queues of a model are declared when the model is first used."""
    return QueueSpec(name, _kept(_WORK_DELIVERY_LIMIT), ((WORK, name),), name in STANDING_WORK)


DEAD_LETTERS = QueueSpec(
    "dead-letters",
    # RabbitMQ 4 has a default limit, after which it drops a message that has no dead-letter exchange.
    {"x-queue-type": "quorum", "x-delivery-limit": _NO_DELIVERY_LIMIT},
    ((DEAD, "#"),),
)

JOBS_LOGS = QueueSpec(
    LOG_ARCHIVE,
    {"x-queue-type": "classic", "x-max-length": _LOGS_KEPT, "x-overflow": "drop-head"},
    ((LOGS, "#"),),
)


def standing_queues() -> Iterable[QueueSpec]:
    """Every queue that exists from the start, so that messages published before the first consumer are kept.

    Queues of chunk work are not among them: there is one for each model, declared when the model is first used.
    """
    return (
        DEAD_LETTERS,
        *map(event_queue, SUBSCRIBED),
        *map(work_queue, STANDING_WORK),
        JOBS_LOGS,
    )


def loss_marker(service: str) -> QueueSpec:
    """The marker queue of the broker-loss detector; its messages expire at once."""
    name = f"{service}.witness"
    return QueueSpec(name, {"x-queue-type": "classic", "x-message-ttl": 0}, (direct_to(name),), standing=False)


def deliveries_until_dead(queue: str) -> int:
    """The number of deliveries of one message, after which the queue dead-letters it."""
    return 1 + (_WORK_DELIVERY_LIMIT if queue.startswith("work.") else _EVENT_DELIVERY_LIMIT)


def _kept(delivery_limit: int) -> dict[str, Any]:
    """Arguments of a queue that loses no message: unprocessable messages are dead-lettered at least once."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": delivery_limit,
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        # The at-least-once strategy works with this overflow behaviour only.
        "x-overflow": "reject-publish",
    }
