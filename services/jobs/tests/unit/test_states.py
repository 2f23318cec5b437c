"""The state machine and its table of transitions."""

import pytest

from jobs import states
from jobs.errors import IllegalTransition
from jobs.states import ACTIVE, ALLOWED, REASONS, SENTENCES, Reason, State


def test_every_state_has_a_sentence_and_a_row() -> None:
    assert set(SENTENCES) == set(ALLOWED) == set(State)
    assert all(sentence.endswith(".") for sentence in SENTENCES.values())


def test_every_reason_has_a_sentence() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached_from_queued(state: State) -> None:
    reached, frontier = {State.QUEUED}, [State.QUEUED]
    while frontier:
        following = ALLOWED[frontier.pop()] - reached
        reached |= following
        frontier.extend(following)
    assert state in reached


def test_only_a_restart_leaves_a_final_state() -> None:
    for state in (State.COMPLETED, State.FAILED, State.CANCELLED):
        assert state.final
        states.require(state, State.QUEUED)
        for following in set(State) - {State.QUEUED}:
            with pytest.raises(IllegalTransition):
                states.require(state, following)


def test_every_unfinished_job_can_be_cancelled() -> None:
    for state in ACTIVE:
        states.require(state, State.CANCELLED)


def test_a_job_with_a_transcript_cannot_fail() -> None:
    with pytest.raises(IllegalTransition, match="from enriching to failed"):
        states.require(State.ENRICHING, State.FAILED)
