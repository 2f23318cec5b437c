"""What administrators may be refused, with stable codes."""

from collections.abc import Sequence

from common.web.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable


class DeadLetterNotFound(NotFound):
    """There is no such dead letter; perhaps it was discarded."""

    code = "dead_letter_not_found"
    title = "Dead letter not found"


class ReplayImpossible(Conflict):
    """Sending this message again would do nothing: it cannot be read, or its job has moved on or is gone."""

    code = "replay_impossible"
    title = "Cannot be replayed"


class WorkerNotKnown(Invalid):
    """None of the workers heard of today has this name."""

    code = "worker_not_known"
    title = "No such worker"

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        """Name what was asked for and what there is."""
        super().__init__(f"no worker is named {', '.join(unknown)}", known=list(known))


class ServerControlDisabled(Forbidden):
    """Processes may be ended over the API only where ENABLE_SERVER_CONTROL is set."""

    code = "server_control_disabled"
    title = "Server control is switched off"


class BusUnreachable(Unavailable):
    """The message bus, over which the other processes are told, is not connected."""

    code = "bus_unreachable"
    title = "The message bus cannot be reached"
