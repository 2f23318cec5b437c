"""The jobs that were cancelled."""

from collections import OrderedDict
from math import inf
from typing import Final
from uuid import UUID

from transcriber.errors import WorkCancelled

_REMEMBERED: Final = 10_000


class Cancellations:
    """The recently cancelled jobs; work checks them between its steps."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[UUID, float] = OrderedDict()

    def add(self, job_id: UUID, attempt: int | None = None) -> None:
        """Store that a job was cancelled up to an attempt (None: every attempt); drop the oldest of too many."""
        self._jobs[job_id] = max(self._jobs.get(job_id, 0), inf if attempt is None else attempt)
        self._jobs.move_to_end(job_id)
        while len(self._jobs) > _REMEMBERED:
            self._jobs.popitem(last=False)

    def contain(self, job_id: UUID, attempt: int) -> bool:
        """Return whether the attempt was cancelled."""
        return attempt <= self._jobs.get(job_id, -1)

    def check(self, job_id: UUID, attempt: int) -> None:
        """Raise WorkCancelled if the attempt was cancelled."""
        if self.contain(job_id, attempt):
            raise WorkCancelled(str(job_id))
