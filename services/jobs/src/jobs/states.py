"""The states of a job, the one table of transitions between them, and the reasons that are told to people."""

from enum import StrEnum

from .errors import IllegalTransition


class State(StrEnum):
    """Where a job is in its life; each state has a sentence for people in SENTENCES."""

    QUEUED = "queued"
    PROCESSING = "processing"
    ENRICHING = "enriching"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """The job is over, unless somebody restarts it."""
        return self in _FINAL


_FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})

SENTENCES: dict[State, str] = {
    State.QUEUED: "The recording is stored and waits for a free slot.",
    State.PROCESSING: "An attempt runs: the recording is cut into chunks, transcribed and assembled.",
    State.ENRICHING: "The transcript can be read; its metadata is being computed.",
    State.COMPLETED: "Nothing is left to do.",
    State.FAILED: "The job ended without a transcript; the reason says why.",
    State.CANCELLED: "The job was stopped on request.",
}

ALLOWED: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.PROCESSING, State.CANCELLED}),
    State.PROCESSING: frozenset({State.ENRICHING, State.FAILED, State.CANCELLED}),
    State.ENRICHING: frozenset({State.COMPLETED, State.CANCELLED}),
    # A restart: the same recording, a new attempt.
    State.COMPLETED: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}

ACTIVE = tuple(state for state in State if not state.final)


def require(current: State, following: State) -> None:
    """Raise IllegalTransition unless the table allows `following` right after `current`."""
    if following not in ALLOWED[current]:
        raise IllegalTransition(f"a job cannot go from {current} to {following}")


class Reason(StrEnum):
    """Reason codes that jobs itself gives; a rejected recording brings the transcriber's own code."""

    CANCELLED = "cancelled"
    NO_SPEECH = "no_speech"
    TIMED_OUT = "timed_out"
    WORK_DEAD_LETTERED = "work_dead_lettered"
    ENRICHMENT_FAILED = "enrichment_failed"
    ENRICHMENT_TIMED_OUT = "enrichment_timed_out"


REASONS: dict[Reason, str] = {
    Reason.CANCELLED: "The job was stopped on request.",
    Reason.NO_SPEECH: "No speech was found in the recording, so the transcript is empty.",
    Reason.TIMED_OUT: "The job was not finished within the time limit of {limit}.",
    Reason.WORK_DEAD_LETTERED: "{work} was given up after {count} deliveries to the workers ({why}).",
    Reason.ENRICHMENT_FAILED: "The transcript is complete, but its metadata could not be computed: {why}",
    Reason.ENRICHMENT_TIMED_OUT: "The transcript is complete, but its metadata was not computed in time.",
}
