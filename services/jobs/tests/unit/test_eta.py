"""Estimates of the time until a transcript."""

import pytest

from jobs.scheduling.eta import Measured, Running, of_queued, of_running

#: One worker gets through ten seconds of speech in a second; half of a recording is speech; 1,000 bytes are a second.
MEASURED = Measured(speed=10.0, seconds_per_byte=0.001, speech_share=0.5, workers=2)


def running(left: float | None) -> Running:
    """Return a job with so many seconds of speech left; None = unknown."""
    if left is None:
        return Running(speech=None, known=30.0, done=10.0, planned=False)
    return Running(speech=None, known=left + 5.0, done=5.0, planned=True)


def test_capacity_is_the_sum_of_all_workers() -> None:
    assert MEASURED.capacity == 20.0


@pytest.mark.parametrize(
    "measured",
    [
        Measured(speed=None, seconds_per_byte=0.001, speech_share=0.5, workers=2),
        Measured(speed=10.0, seconds_per_byte=0.001, speech_share=0.5, workers=0),
    ],
    ids=["nothing was measured", "no workers"],
)
def test_no_estimate_without_a_measured_speed_or_a_worker(measured: Measured) -> None:
    assert measured.capacity is None
    assert of_running(running(60.0), [], measured) is None
    assert of_queued(60.0, 0.0, [], measured) is None


def test_speech_is_estimated_from_the_duration_or_else_from_the_size() -> None:
    assert MEASURED.speech(600.0, 1) == 300.0
    assert MEASURED.speech(None, 600_000) == 300.0
    assert Measured(10.0, None, 0.5, 1).speech(None, 600_000) is None
    assert Measured(10.0, None, None, 1).speech(600.0, 1) == 600.0, "without experience all of it may be speech"


@pytest.mark.parametrize(
    ("job", "left"),
    [
        (Running(speech=None, known=100.0, done=40.0, planned=True), 60.0),
        (Running(speech=None, known=40.0, done=41.0, planned=True), 0.0),
        (Running(speech=300.0, known=100.0, done=40.0, planned=False), 260.0),
        (Running(speech=80.0, known=100.0, done=40.0, planned=False), 60.0),
        (Running(speech=None, known=100.0, done=40.0, planned=False), None),
    ],
    ids=["counted", "more than counted", "estimated", "more known than estimated", "unknown"],
)
def test_remaining_speech_is_counted_after_the_plan(job: Running, left: float | None) -> None:
    assert job.left == left


def test_a_running_job_shares_the_workers_until_the_others_finish() -> None:
    assert of_running(running(60.0), [], MEASURED) == 3.0
    assert of_running(running(60.0), [running(20.0)], MEASURED) == 4.0, "the short one leaves early"
    assert of_running(running(60.0), [running(600.0)], MEASURED) == 6.0, "the long one takes half of the workers"
    assert of_running(running(60.0), [running(None)], MEASURED) == 6.0, "one of unknown length counts as long"
    assert of_running(running(None), [], MEASURED) is None


def test_a_queued_job_waits_for_running_jobs_and_jobs_ahead() -> None:
    assert of_queued(60.0, 0.0, [], MEASURED) == 3.0
    assert of_queued(60.0, 100.0, [running(40.0)], MEASURED) == 10.0


@pytest.mark.parametrize(
    ("mine", "ahead", "others"), [(None, 0.0, []), (60.0, None, []), (60.0, 0.0, [running(40.0), running(None)])]
)
def test_no_estimate_for_a_queued_job_with_an_unknown_part(
    mine: float | None, ahead: float | None, others: list[Running]
) -> None:
    assert of_queued(mine, ahead, others, MEASURED) is None
