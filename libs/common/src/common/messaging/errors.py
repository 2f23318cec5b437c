"""Errors of the message broker; all are temporary, so all are ConnectionErrors."""


class BrokerUnavailable(ConnectionError):
    """The broker did not answer, or the connection is closed."""


class PublishFailed(ConnectionError):
    """The broker did not confirm a message; it may have received it."""


class PublishRefused(PublishFailed):
    """The broker refused one message: no queue is bound for it, or the queue is full."""


class RetryLater(Exception):
    """A handler raises it when the worker cannot run a task now, for a reason that is not in the task."""
