"""Estimates of the time until a job is transcribed, from the work before it and the speed measured lately."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of jobs that finished lately; None = no finished job to measure.

    `speed` is seconds of speech per second of one worker, `speech_share` the part of a recording that is speech.
    """

    speed: float | None
    seconds_per_byte: float | None
    speech_share: float | None
    workers: int

    @property
    def capacity(self) -> float | None:
        """Seconds of speech that all workers process per second; None if unknown or without workers."""
        return self.speed * self.workers if self.speed and self.workers else None

    def speech(self, duration_seconds: float | None, size_bytes: float) -> float | None:
        """Seconds of speech in a recording, from its duration if that is known, else estimated from its size."""
        if duration_seconds is None:
            if self.seconds_per_byte is None:
                return None
            duration_seconds = size_bytes * self.seconds_per_byte
        return duration_seconds * (1.0 if self.speech_share is None else self.speech_share)


@dataclass(frozen=True, slots=True)
class Running:
    """A running job in seconds of speech; `speech` is an estimate, `known` and `done` are counted."""

    speech: float | None
    known: float
    done: float
    planned: bool

    @property
    def left(self) -> float | None:
        """Seconds of speech that are not transcribed yet; None if unknown."""
        if self.planned:
            return max(self.known - self.done, 0.0)
        if self.speech is None:
            return None
        return max(self.speech, self.known) - self.done


def of_running(mine: Running, others: Iterable[Running], measured: Measured) -> float | None:
    """Seconds until a running job is transcribed: running jobs share the workers, and short ones finish first."""
    left = mine.left
    if left is None or measured.capacity is None:
        return None
    shared = sum(left if other.left is None else min(other.left, left) for other in others)
    return round((left + shared) / measured.capacity, 1)


def of_queued(mine: float | None, ahead: float | None, running: Iterable[Running], measured: Measured) -> float | None:
    """Seconds until a queued job is transcribed: the running jobs, the jobs ahead and the job itself, in sequence."""
    if mine is None or ahead is None or measured.capacity is None:
        return None
    lefts = [job.left for job in running]
    if any(left is None for left in lefts):
        return None
    return round((sum(left for left in lefts if left is not None) + ahead + mine) / measured.capacity, 1)
