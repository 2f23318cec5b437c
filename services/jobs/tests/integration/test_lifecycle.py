"""The life of a job; the test replaces the transcribers and metadata."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from common.events import (
    AssembleWork,
    AudioRejected,
    CancelJob,
    ChunkWork,
    JobCancelled,
    JobCompleted,
    JobDeleted,
    JobExpired,
    JobFailed,
    JobStarted,
    JobTranscribed,
    MetadataFailed,
    PlanWork,
    keys,
)
from common.testing import eventually
from common.testing.events import audio_planned, chunk_planned, chunk_transcribed, metadata_enriched, transcript_ready

from .conftest import StartPlatform
from .jobs_harness import Person, Platform, read_job, sent

pytestmark = pytest.mark.integration


async def started(platform: Platform, person: Person) -> UUID:
    """Create a job and wait until its plan is sent."""
    job_id = await person.create()
    await eventually(lambda: platform.workers.of(job_id, PlanWork))
    return job_id


async def settled(platform: Platform) -> None:
    """Wait until all earlier events are handled: a marker passes through the same queue."""
    person = platform.person()
    job_id = await person.create()
    await person.reached(job_id, "processing")
    await platform.broker.publish(AudioRejected(job_id=job_id, attempt=1, reason_code="no_audio", reason="None."))
    await person.reached(job_id, "failed")


async def test_a_recording_becomes_a_transcript(platform: Platform) -> None:
    person, broker, workers = platform.person(), platform.broker, platform.workers
    job_id = await started(platform, person)
    (plan,) = workers.of(job_id, PlanWork)
    assert (plan.attempt, plan.source_key, plan.size_bytes) == (1, keys.source(job_id), 1234)
    job = await person.job(job_id)
    assert (job["state"], job["stage"], job["attempt"]) == ("processing", "planning", 1)

    for chunk in (0, 1):
        await broker.publish(chunk_planned(job_id, chunk))
    await eventually(lambda: len(workers.of(job_id, ChunkWork)) == 2)
    assert [(work.chunk, work.language) for work in workers.of(job_id, ChunkWork)] == [(0, "en"), (1, "en")]
    await broker.publish(chunk_transcribed(job_id, 0))
    await eventually(lambda: person.job(job_id), lambda job: job["chunks_done"] == 1)
    job = await person.job(job_id)
    assert (job["stage"], job["progress"], job["chunks_total"]) == ("transcribing", 0.25, 2)
    await broker.publish(audio_planned(job_id, 2))
    await eventually(lambda: person.job(job_id), lambda job: job["progress"] == 0.5)
    assert not workers.of(job_id, AssembleWork)
    await broker.publish(chunk_transcribed(job_id, 1))
    await eventually(lambda: workers.of(job_id, AssembleWork))
    (assemble,) = workers.of(job_id, AssembleWork)
    assert assemble.result_keys == [keys.result(job_id, 1, 0), keys.result(job_id, 1, 1)]
    assert assemble.plan_key == keys.plan(job_id, 1)
    assert (await person.job(job_id))["stage"] == "assembling"

    await broker.publish(transcript_ready(job_id))
    await person.reached(job_id, "enriching")
    job = await person.job(job_id)
    assert (job["transcript_attempt"], job["formats"]) == (1, ["json", "srt", "vtt", "txt", "tsv"])
    (transcribed,) = await sent(platform.sessions, JobTranscribed)
    assert transcribed.transcript_key == keys.transcript(job_id, 1, "json")

    await broker.publish(metadata_enriched(job_id))
    await person.reached(job_id, "completed")
    job = await person.job(job_id)
    assert (job["stage"], job["progress"], job["reason_code"]) == ("done", 1.0, None)
    assert (job["chunks_total"], job["chunks_done"], job["language"]) == (2, 2, "en")
    timings = job["timings"]
    assert timings["decode_seconds"] == 3.0
    assert all(timings[part] >= 0 for part in ("queue_seconds", "transcription_seconds", "enrichment_seconds"))
    assert timings["real_time_factor"] == pytest.approx(125.0 / timings["transcription_seconds"], rel=0.02)
    (completed,) = await sent(platform.sessions, JobCompleted)
    assert completed.note is None
    assert [type(fact) for fact in await sent(platform.sessions, JobStarted, JobTranscribed, JobCompleted)] == [
        JobStarted,
        JobTranscribed,
        JobCompleted,
    ]


async def test_events_are_applied_in_any_order_and_once(platform: Platform) -> None:
    person, broker, workers = platform.person(), platform.broker, platform.workers
    job_id = await started(platform, person)
    reports = [
        audio_planned(job_id, 2),  # before the chunks it counts
        chunk_transcribed(job_id, 1),  # before its plan
        chunk_planned(job_id, 1),
        chunk_planned(job_id, 0),
        chunk_planned(job_id, 0),
        chunk_transcribed(job_id, 0),
        chunk_transcribed(job_id, 0),
        # The same facts under new identities, as a transcriber of another version might repeat them.
        chunk_planned(job_id, 0).model_copy(update={"event_id": uuid4()}),
        chunk_transcribed(job_id, 1).model_copy(update={"event_id": uuid4()}),
        audio_planned(job_id, 2),
    ]
    for report in reports:
        await broker.publish(report)
    await eventually(lambda: workers.of(job_id, AssembleWork))
    await settled(platform)
    (assemble,) = workers.of(job_id, AssembleWork)
    assert assemble.result_keys == [keys.result(job_id, 1, 0), keys.result(job_id, 1, 1)]
    job = await person.job(job_id)
    assert (job["chunks_total"], job["chunks_done"], job["progress"], job["stage"]) == (2, 2, 1.0, "assembling")
    assert [work.chunk for work in workers.of(job_id, ChunkWork)] in ([], [0]), "a finished chunk is not sent out"
    row = await read_job(platform.sessions, job_id)
    assert (row.seconds_known, row.seconds_done) == (120.0, 120.0)


async def test_a_silent_recording_completes_with_a_reason(platform: Platform) -> None:
    person, broker, workers = platform.person(), platform.broker, platform.workers
    job_id = await started(platform, person)
    await broker.publish(audio_planned(job_id, 0))
    await eventually(lambda: workers.of(job_id, AssembleWork))
    assert workers.of(job_id, AssembleWork)[0].result_keys == []
    await broker.publish(transcript_ready(job_id, words=0))
    await person.reached(job_id, "enriching")
    await broker.publish(metadata_enriched(job_id))
    await person.reached(job_id, "completed")
    job = await person.job(job_id)
    assert (job["reason_code"], job["progress"]) == ("no_speech", 1.0)
    assert "No speech" in job["reason"]


async def test_a_rejected_recording_fails_with_the_transcribers_reason(platform: Platform) -> None:
    person = platform.person()
    cancelled: list[bytes] = []

    async def listen(key: str, body: bytes) -> None:
        if key == CancelJob.name:
            cancelled.append(body)

    listener = await platform.broker.listen("control", ["#"], listen)
    job_id = await started(platform, person)
    await platform.broker.publish(chunk_planned(job_id, 0))
    await platform.broker.publish(
        AudioRejected(job_id=job_id, attempt=1, reason_code="too_long", reason="It is longer than 24 hours.")
    )
    await person.reached(job_id, "failed")
    job = await person.job(job_id)
    assert (job["reason_code"], job["reason"], job["stage"]) == ("too_long", "It is longer than 24 hours.", "done")
    (failed,) = await sent(platform.sessions, JobFailed)
    assert (failed.job_id, failed.reason_code) == (job_id, "too_long")
    await eventually(lambda: [CancelJob.model_validate_json(body).job_id for body in cancelled] == [job_id])
    await listener.close()
    # What is still under way changes nothing any more.
    before = await but_for_costs(person, job_id)
    for late in (chunk_transcribed(job_id, 0), audio_planned(job_id, 1), transcript_ready(job_id)):
        await platform.broker.publish(late)
    await settled(platform)
    assert await but_for_costs(person, job_id) == before


async def but_for_costs(person: Person, job_id: UUID) -> dict[str, Any]:
    """Return the job without its costs, which also count unused work."""
    return {name: value for name, value in (await person.job(job_id)).items() if name != "costs"}


async def test_events_of_another_attempt_are_ignored(platform: Platform) -> None:
    person, broker = platform.person(), platform.broker
    job_id = await started(platform, person)
    before = await but_for_costs(person, job_id)
    for attempt in (0, 2):
        await broker.publish(chunk_planned(job_id, 0, attempt=attempt))
        await broker.publish(chunk_transcribed(job_id, 0, attempt=attempt))
        await broker.publish(audio_planned(job_id, 1, attempt=attempt))
        await broker.publish(transcript_ready(job_id, attempt=attempt))
        await broker.publish(AudioRejected(job_id=job_id, attempt=attempt, reason_code="x", reason="x"))
        await broker.publish(metadata_enriched(job_id, attempt=attempt))
    await settled(platform)
    assert await but_for_costs(person, job_id) == before
    assert not platform.workers.of(job_id, ChunkWork)


async def test_failed_metadata_does_not_fail_the_job(platform: Platform) -> None:
    person, broker = platform.person(), platform.broker
    job_id = await started(platform, person)
    await broker.publish(transcript_ready(job_id))
    await person.reached(job_id, "enriching")
    await broker.publish(MetadataFailed(job_id=job_id, attempt=1, reason="The text is in no known language."))
    await person.reached(job_id, "completed")
    job = await person.job(job_id)
    assert job["reason_code"] == "enrichment_failed"
    assert "no known language" in job["reason"]
    (completed,) = await sent(platform.sessions, JobCompleted)
    assert completed.note == job["reason"]


async def test_deleting_a_running_job_leaves_no_rows(start: StartPlatform) -> None:
    platform = await start(max_concurrent_jobs=1)
    person, broker = platform.person(), platform.broker
    cancelled: list[UUID] = []

    async def listen(key: str, body: bytes) -> None:
        if key == CancelJob.name:
            cancelled.append(CancelJob.model_validate_json(body).job_id)

    listener = await broker.listen("control", ["#"], listen)
    job_id = await started(platform, person)
    next_id = await person.create()
    await broker.publish(chunk_planned(job_id, 0))
    await eventually(lambda: platform.workers.of(job_id, ChunkWork))
    answer = await person.http.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await person.http.get(f"/jobs/{job_id}")).status_code == 404
    assert (await person.http.delete(f"/jobs/{job_id}")).status_code == 404
    facts = await sent(platform.sessions, JobCancelled, JobDeleted)
    assert [(type(fact), fact.job_id) for fact in facts] == [(JobCancelled, job_id), (JobDeleted, job_id)]
    await eventually(lambda: cancelled == [job_id])
    await listener.close()
    # Its slot is free, and the worker's late result is ignored.
    await person.reached(next_id, "processing")
    await broker.publish(chunk_transcribed(job_id, 0))
    await broker.publish(AudioRejected(job_id=next_id, attempt=1, reason_code="no_audio", reason="None."))
    await person.reached(next_id, "failed")
    assert (await person.http.get(f"/jobs/{job_id}")).status_code == 404


async def test_an_expired_job_is_deleted_and_an_unfinished_one_is_not(platform: Platform) -> None:
    person, broker = platform.person(), platform.broker
    over, running = await started(platform, person), await started(platform, person)
    await broker.publish(AudioRejected(job_id=over, attempt=1, reason_code="no_audio", reason="None."))
    await person.reached(over, "failed")
    finished_at = (await person.job(over))["finished_at"]
    for job_id in (over, running):
        await broker.publish(JobExpired(job_id=job_id, owner_id=person.id, finished_at=finished_at))
    await eventually(lambda: person.http.get(f"/jobs/{over}"), lambda answer: answer.status_code == 404)
    await settled(platform)
    assert (await person.job(running))["state"] == "processing"
    assert [fact.job_id for fact in await sent(platform.sessions, JobDeleted)] == [over]
