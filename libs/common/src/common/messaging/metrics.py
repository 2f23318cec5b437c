"""Metrics of messaging."""

from prometheus_client import Counter, Gauge, Histogram

CONSUMED = Counter(
    "verbatim_messages_consumed_total",
    "Messages by outcome: started, done, duplicate, retried, requeued, dead, reattached, handed_back.",
    ["consumer", "message", "outcome"],
)
HANDLING_SECONDS = Histogram(
    "verbatim_message_handling_seconds",
    "Time from the start to the end of a handler, retries included.",
    ["consumer", "message"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 1800),
)
PUBLISHED = Counter(
    "verbatim_messages_published_total",
    "Messages by outcome: confirmed, failed, refused.",
    ["message", "outcome"],
)
OUTBOX_OLDEST_SECONDS = Gauge(
    "verbatim_outbox_oldest_unpublished_seconds",
    "Age of the oldest message that is due and not yet published; 0 when there is none.",
)
OUTBOX_UNPUBLISHED = Gauge("verbatim_outbox_unpublished", "Messages that are due and not yet published.")
LOGS_LOST = Counter("verbatim_log_records_lost_total", "Log records that never reached the bus.")
LISTENER_DROPPED = Counter(
    "verbatim_listener_dropped_total", "Broadcast messages dropped because the listener was too slow.", ["exchange"]
)
