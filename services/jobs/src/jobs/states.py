"""The states of a job, the table of transitions between them, and the reason codes with their sentences."""

from enum import StrEnum

from .errors import IllegalTransition


class State(StrEnum):
    """State of a job; SENTENCES describes each for users."""

    QUEUED = "queued"
    PROCESSING = "processing"
    ENRICHING = "enriching"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the job has ended; only a restart leaves a final state."""
        return self in _FINAL


_FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})

SENTENCES: dict[State, str] = {
    State.QUEUED: "The recording is stored and waits for a free slot.",
    State.PROCESSING: "An attempt runs: the recording is cut into chunks, transcribed and assembled.",
    State.ENRICHING: "The transcript is readable; its metadata is being computed.",
    State.COMPLETED: "The transcript is complete.",
    State.FAILED: "The job ended without a transcript; see the reason.",
    State.CANCELLED: "The job was cancelled on request.",
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
    """Raise IllegalTransition unless the table allows the transition from `current` to `following`."""
    if following not in ALLOWED[current]:
        raise IllegalTransition(f"no transition from {current} to {following}")


class Reason(StrEnum):
    """Reason codes of the jobs service; a rejected recording has a code of the transcriber."""

    CANCELLED = "cancelled"
    NO_SPEECH = "no_speech"
    TIMED_OUT = "timed_out"
    WORK_DEAD_LETTERED = "work_dead_lettered"
    ENRICHMENT_FAILED = "enrichment_failed"
    ENRICHMENT_TIMED_OUT = "enrichment_timed_out"


REASONS: dict[Reason, str] = {
    Reason.CANCELLED: "The job was cancelled on request.",
    Reason.NO_SPEECH: "No speech was found in the recording, so the transcript is empty.",
    Reason.TIMED_OUT: "The job was not finished within the time limit of {limit}.",
    Reason.WORK_DEAD_LETTERED: "{work} failed after {count} deliveries to the workers ({why}).",
    Reason.ENRICHMENT_FAILED: "The transcript is complete, but its metadata could not be computed: {why}",
    Reason.ENRICHMENT_TIMED_OUT: "The transcript is complete, but its metadata was not computed in time.",
}
