"""RabbitMQ: the broker, its consumers, the outbox and the log stream. The only place that imports its client library.

What needs a database, `EventConsumer` and the outbox, is imported when it is first asked for: the gateway and the
transcriber use messaging without having SQLAlchemy installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .broker import Broker
from .caution import Caution
from .errors import BrokerUnavailable, NotNow, PublishFailed, PublishRefused
from .listener import Listener
from .logs import LogPublisher, records_of
from .queue_consumer import DeadLetterConsumer, QueueConsumer, RawMessage
from .topology import ListenExchange, straight_to
from .work_consumer import Delivery, WorkConsumer

if TYPE_CHECKING:
    from . import outbox
    from .after_commit import CommittedNotices
    from .event_consumer import EventConsumer, Handler, Subscriptions
    from .outbox import OutboxRelay

__all__ = [
    "Broker",
    "BrokerUnavailable",
    "Caution",
    "CommittedNotices",
    "DeadLetterConsumer",
    "Delivery",
    "EventConsumer",
    "Handler",
    "ListenExchange",
    "Listener",
    "LogPublisher",
    "NotNow",
    "OutboxRelay",
    "PublishFailed",
    "PublishRefused",
    "QueueConsumer",
    "RawMessage",
    "Subscriptions",
    "WorkConsumer",
    "outbox",
    "records_of",
    "straight_to",
]

_NEED_A_DATABASE = {
    "CommittedNotices": "after_commit",
    "EventConsumer": "event_consumer",
    "Handler": "event_consumer",
    "Subscriptions": "event_consumer",
    "OutboxRelay": "outbox",
}


def __getattr__(name: str) -> Any:
    """Import what needs a database at the first use."""
    if name == "outbox":
        return import_module(".outbox", __name__)
    if name in _NEED_A_DATABASE:
        return getattr(import_module(f".{_NEED_A_DATABASE[name]}", __name__), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
