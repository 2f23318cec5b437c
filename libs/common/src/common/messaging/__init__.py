"""RabbitMQ: the broker, its consumers, the outbox and the log stream. The only place that imports its client library.

`EventConsumer` and the outbox need a database and are imported at their first use: the gateway and the transcriber use
messaging without SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .broker import Broker
from .errors import BrokerUnavailable, PublishFailed, PublishRefused, RetryLater
from .exclusive import ExclusiveExecution
from .listener import Listener
from .logs import LogPublisher, records_of
from .queue_consumer import DeadLetterConsumer, QueueConsumer, RawMessage
from .topology import ListenExchange, direct_to
from .work_consumer import Delivery, WorkConsumer

if TYPE_CHECKING:
    from . import outbox
    from .after_commit import CommittedNotices
    from .event_consumer import EventConsumer, Handler, Subscriptions
    from .outbox import OutboxRelay

__all__ = [
    "Broker",
    "BrokerUnavailable",
    "CommittedNotices",
    "DeadLetterConsumer",
    "Delivery",
    "EventConsumer",
    "ExclusiveExecution",
    "Handler",
    "ListenExchange",
    "Listener",
    "LogPublisher",
    "OutboxRelay",
    "PublishFailed",
    "PublishRefused",
    "QueueConsumer",
    "RawMessage",
    "RetryLater",
    "Subscriptions",
    "WorkConsumer",
    "direct_to",
    "outbox",
    "records_of",
]

_NEED_A_DATABASE = {
    "CommittedNotices": "after_commit",
    "EventConsumer": "event_consumer",
    "Handler": "event_consumer",
    "Subscriptions": "event_consumer",
    "OutboxRelay": "outbox",
}


def __getattr__(name: str) -> Any:
    """Import a name that needs a database at its first use."""
    if name == "outbox":
        return import_module(".outbox", __name__)
    if name in _NEED_A_DATABASE:
        return getattr(import_module(f".{_NEED_A_DATABASE[name]}", __name__), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
