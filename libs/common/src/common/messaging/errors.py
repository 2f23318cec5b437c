"""What can go wrong with the message broker; all of it may pass, so all of it is a ConnectionError."""


class BrokerUnavailable(ConnectionError):
    """The broker did not answer, or does not count us as connected."""


class PublishFailed(ConnectionError):
    """The broker did not confirm a message; it may have arrived all the same."""


class PublishRefused(PublishFailed):
    """The broker answered, and would not take this one message: no queue for it, or the queue is full."""


class NotNow(Exception):
    """A worker cannot do a piece of work here and now, for a reason that lies not in the work; handlers raise it."""
