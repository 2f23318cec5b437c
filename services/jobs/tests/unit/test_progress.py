"""Progress, stage and durations computed from a job's row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.schemas.progress import clock, progress, stage, timings
from jobs.states import State
from jobs.tables import Job

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_job(**values: Any) -> Job:
    fresh = {
        "state": State.PROCESSING,
        "chunks_known": 0,
        "chunks_done": 0,
        "seconds_known": 0.0,
        "seconds_done": 0.0,
        "decode_seconds": 0.0,
        "queued_at": START,
    }
    return Job(**(fresh | values))


def test_progress_is_the_share_of_speech_that_is_done() -> None:
    job = a_job(chunks_planned=3, chunks_known=3, chunks_done=1, seconds_known=200.0, seconds_done=20.0)
    assert progress(job) == 0.1


def test_progress_never_exceeds_a_half_while_the_plan_runs() -> None:
    job = a_job(chunks_known=2, chunks_done=2, seconds_known=100.0, seconds_done=100.0)
    assert progress(job) == 0.5


def test_the_plan_runs_until_its_last_chunk_is_known() -> None:
    job = a_job(chunks_planned=3, chunks_known=2, chunks_done=2, seconds_known=100.0, seconds_done=100.0)
    assert progress(job) == 0.5
    job.chunks_known, job.seconds_known = 3, 200.0
    assert progress(job) == 0.5


@pytest.mark.parametrize(
    ("state", "expected"),
    [(State.QUEUED, 0.0), (State.PROCESSING, 0.0), (State.ENRICHING, 1.0), (State.COMPLETED, 1.0), (State.FAILED, 0.0)],
)
def test_progress_of_a_job_without_chunks(state: State, expected: float) -> None:
    assert progress(a_job(state=state)) == expected


def test_a_failed_job_keeps_the_progress_it_had() -> None:
    job = a_job(state=State.FAILED, chunks_planned=2, chunks_known=2, seconds_known=50.0, seconds_done=25.0)
    assert progress(job) == 0.5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"state": State.QUEUED}, "waiting"),
        ({}, "planning"),
        ({"chunks_known": 1}, "transcribing"),
        ({"chunks_known": 1, "assembling_at": START}, "assembling"),
        ({"state": State.ENRICHING, "assembling_at": START}, "enriching"),
        ({"state": State.COMPLETED}, "done"),
        ({"state": State.FAILED, "chunks_known": 1}, "done"),
    ],
)
def test_stage_of_every_state(values: dict[str, Any], expected: str) -> None:
    assert stage(a_job(**values)) == expected


def test_timings_are_differences_of_timestamps() -> None:
    job = a_job(
        started_at=START + timedelta(seconds=2),
        transcribed_at=START + timedelta(seconds=12),
        finished_at=START + timedelta(seconds=12.5),
        duration_seconds=300.0,
        chunks_done=4,
        decode_seconds=9.25,
    )
    assert timings(job).model_dump() == {
        "queue_seconds": 2.0,
        "transcription_seconds": 10.0,
        "enrichment_seconds": 0.5,
        "decode_seconds": 9.25,
        "real_time_factor": 30.0,
    }


def test_unfinished_phases_have_no_duration() -> None:
    assert set(timings(a_job()).model_dump().values()) == {None}


def test_positions_are_hours_minutes_seconds() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3729)] == ["0:00:00", "0:01:00", "1:02:09"]
