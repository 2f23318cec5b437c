"""Which jobs nobody wants any more."""

from collections import OrderedDict
from typing import Final
from uuid import UUID

from .errors import WorkCancelled

_REMEMBERED: Final = 10_000


class Cancellations:
    """The jobs cancelled lately; work asks between its steps whether it should go on."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[UUID, None] = OrderedDict()

    def add(self, job_id: UUID) -> None:
        """Remember that a job was cancelled, and forget the oldest one when there are too many."""
        self._jobs[job_id] = None
        self._jobs.move_to_end(job_id)
        while len(self._jobs) > _REMEMBERED:
            self._jobs.popitem(last=False)

    def check(self, job_id: UUID) -> None:
        """Raise WorkCancelled if the job was cancelled."""
        if job_id in self._jobs:
            raise WorkCancelled(str(job_id))
