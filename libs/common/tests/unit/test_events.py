"""Messages: immutable, identified, tolerant of what they do not know."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from common import context
from common.events import (
    AssembleWork,
    AttemptEvent,
    ChunkPlanned,
    JobDeleted,
    JobOptions,
)
from common.testing.events import audio_planned, chunk_planned, chunk_work, plan_work

JOB = UUID("11111111-1111-4111-8111-111111111111")


def a_chunk_planned(chunk: int = 0, attempt: int = 1, job_id: UUID = JOB) -> ChunkPlanned:
    """A chunk's announcement."""
    return chunk_planned(job_id, chunk, attempt=attempt)


def test_a_message_is_identified_timed_and_tied_to_its_cause() -> None:
    with context.bound(correlation_id="the-request"):
        event = JobDeleted(job_id=JOB, owner_id=JOB)
    assert event.correlation_id == "the-request"
    assert event.occurred_at.tzinfo is UTC
    assert datetime.now(UTC) - event.occurred_at < timedelta(seconds=10)
    assert event.event_id != JobDeleted(job_id=JOB, owner_id=JOB).event_id


def test_a_message_without_a_cause_begins_one() -> None:
    assert JobDeleted(job_id=JOB, owner_id=JOB).correlation_id


def test_a_message_comes_back_from_the_wire_as_it_was() -> None:
    event = a_chunk_planned()
    assert ChunkPlanned.model_validate_json(event.model_dump_json()) == event


def test_fields_that_a_newer_publisher_added_are_ignored() -> None:
    body = JobDeleted(job_id=JOB, owner_id=JOB).model_dump_json().replace("{", '{"reason": "asked", ', 1)
    assert JobDeleted.model_validate_json(body).job_id == JOB


def test_a_message_cannot_be_changed() -> None:
    event = JobDeleted(job_id=JOB, owner_id=JOB)
    with pytest.raises(ValidationError):
        event.job_id = uuid4()  # type: ignore[misc] # the type checker refuses it too


def test_a_fact_about_an_attempt_has_the_same_identity_however_often_it_is_told() -> None:
    assert a_chunk_planned().event_id == a_chunk_planned().event_id
    told_otherwise = ChunkPlanned.model_validate(
        {**a_chunk_planned().model_dump(exclude={"event_id"}), "job_id": str(JOB)}
    )
    assert told_otherwise.event_id == a_chunk_planned().event_id


def test_different_facts_about_attempts_have_different_identities() -> None:
    facts: list[AttemptEvent] = [
        a_chunk_planned(),
        a_chunk_planned(chunk=1),
        a_chunk_planned(attempt=2),
        a_chunk_planned(job_id=uuid4()),
        audio_planned(JOB, 0),
    ]
    assert len({fact.event_id for fact in facts}) == len(facts)


def test_an_identity_that_came_with_the_message_is_kept() -> None:
    body = a_chunk_planned().model_dump()
    given = uuid4()
    assert ChunkPlanned.model_validate({**body, "event_id": given}).event_id == given


def test_work_knows_its_queue_and_keeps_its_key() -> None:
    options = JobOptions(model="large-v3")
    plan = plan_work(JOB, options=options)
    chunk = chunk_work(JOB, 7, attempt=2, model="large-v3")
    assemble = AssembleWork(job_id=JOB, attempt=2, plan_key="p", result_keys=["r"], options=options)
    assert [work.queue for work in (plan, chunk, assemble)] == ["work.plan", "work.chunk.large-v3", "work.assemble"]
    assert [work.key for work in (plan, chunk, assemble)] == [
        f"plan/{JOB}/1",
        f"chunk/{JOB}/2/7",
        f"assemble/{JOB}/2",
    ]
    again = chunk_work(JOB, 7, attempt=2, model="large-v3")
    assert (again.key, again.event_id == chunk.event_id) == (chunk.key, False)


@pytest.mark.parametrize("model", ["", "../etc", "a b", "work.#" * 20, "*"])
def test_a_model_that_could_not_name_a_queue_is_refused(model: str) -> None:
    with pytest.raises(ValidationError):
        JobOptions(model=model)
