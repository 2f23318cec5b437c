"""Cancelling and restarting jobs: kept text, reused chunks, and the visible transcript."""

from uuid import UUID

import pytest

from common.events import (
    AssembleWork,
    AudioRejected,
    AudioSource,
    AudioTrack,
    CancelJob,
    ChunkWork,
    JobCancelled,
    PlanWork,
    RecordingWarning,
    keys,
)
from common.testing import eventually
from common.testing.events import audio_planned, chunk_planned, chunk_transcribed, transcript_ready, worker_heartbeat

from .jobs_harness import Person, Platform, sent

pytestmark = pytest.mark.integration


async def half_done(platform: Platform, person: Person) -> UUID:
    """A running job of two chunks, the first of which is done."""
    job_id = await person.create()
    await person.reached(job_id, "processing")
    for chunk in (0, 1):
        await platform.broker.publish(chunk_planned(job_id, chunk))
    await platform.broker.publish(chunk_transcribed(job_id, 0))
    await eventually(lambda: person.job(job_id), lambda job: (job["chunks_done"], job["chunks_total"]) == (1, 2))
    return job_id


async def test_cancelling_stops_the_workers_and_keeps_the_text(platform: Platform) -> None:
    person = platform.person()
    notices: list[CancelJob] = []

    async def consume(key: str, body: bytes) -> None:
        if key == CancelJob.name:
            notices.append(CancelJob.model_validate_json(body))

    listener = await platform.broker.listen("control", ["#"], consume)
    job_id = await half_done(platform, person)
    for _ in range(2):
        answer = await person.http.post(f"/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["state"], answer.json()["reason_code"]) == (
            200,
            "cancelled",
            "cancelled",
        )
    assert len(await sent(platform.sessions, JobCancelled)) == 1
    await eventually(lambda: [(notice.job_id, notice.attempt) for notice in notices] == [(job_id, 1)])
    await listener.close()
    transcript = (await person.http.get(f"/jobs/{job_id}/transcript")).json()
    assert (transcript["complete"], transcript["text"]) == (False, "text of chunk 0")
    assert [item["type"] for item in transcript["items"]] == ["segment", "gap"]


async def test_ended_jobs_cannot_be_cancelled_and_running_ones_cannot_be_restarted(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    answer = await person.http.post(f"/jobs/{job_id}/restart")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_active")
    await person.reached(job_id, "processing")
    await platform.broker.publish(AudioRejected(job_id=job_id, attempt=1, reason_code="no_audio", reason="None."))
    await person.reached(job_id, "failed")
    answer = await person.http.post(f"/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_over")


async def test_source_and_warnings_of_a_plan_are_shown_and_warnings_belong_to_their_attempt(platform: Platform) -> None:
    person, broker = platform.person(), platform.broker
    job_id = await half_done(platform, person)
    job = await person.job(job_id)
    assert (job["source"], job["warnings"]) == (None, [])
    tracks = [
        AudioTrack(index=1, codec="aac", sample_rate=48_000, channels=2, chosen=True, title="a\x00b"),
        AudioTrack(index=2, codec="aac", sample_rate=48_000, channels=2, speech_seconds=4.2),
    ]
    source = AudioSource(
        container="matroska", video=True, codec="aac", sample_rate=48_000, channels=2, track=1, tracks=tracks
    )
    warning = RecordingWarning(code="other_tracks_have_speech", text="There is speech on track 2.")
    planned = audio_planned(job_id, 2).model_copy(update={"source": source, "warnings": [warning]})
    await broker.publish(planned)
    await eventually(lambda: person.job(job_id), lambda job: job["warnings"])
    job = await person.job(job_id)
    assert job["warnings"] == [warning.model_dump()]
    assert [track["title"] for track in job["source"]["tracks"]] == ["a\N{REPLACEMENT CHARACTER}b", None]
    await person.http.post(f"/jobs/{job_id}/cancel")
    answer = await person.http.post(f"/jobs/{job_id}/restart", json={"track": 2})
    assert (answer.status_code, answer.json()["options"]["track"]) == (202, 2)
    job = await person.reached(job_id, "processing")
    assert (job["warnings"], job["source"]["container"]) == ([], "matroska")
    assert [attempt["warnings"] for attempt in job["attempts"]] == [[warning.model_dump()], []]


@pytest.mark.parametrize("track", [0, -1, "foo", "", 1.5, True, [1], 100_000])
async def test_impossible_track_is_refused(platform: Platform, track: object) -> None:
    person = platform.person()
    job_id = await half_done(platform, person)
    await person.http.post(f"/jobs/{job_id}/cancel")
    answer = await person.http.post(f"/jobs/{job_id}/restart", json={"track": track})
    assert answer.status_code == 422
    assert "number of an audio track" in answer.text


async def test_another_track_is_another_option_and_reuses_nothing(platform: Platform) -> None:
    person = platform.person()
    job_id = await half_done(platform, person)
    for track in ("mix", None, 2):
        await person.http.post(f"/jobs/{job_id}/cancel")
        await person.http.post(f"/jobs/{job_id}/restart", json={"track": track})
        job = await person.reached(job_id, "processing")
        assert job["options"]["track"] == track
        await platform.broker.publish(chunk_planned(job_id, 0, attempt=job["attempt"]))
        await eventually(lambda: person.job(job_id), lambda job: job["chunks_total"])
        # With the first attempt's choice its result is taken over, with any other it is not.
        assert (await person.job(job_id))["chunks_done"] == (1 if track is None else 0)


async def test_a_restart_with_the_same_options_reuses_finished_chunks(platform: Platform) -> None:
    person, broker = platform.person(), platform.broker
    job_id = await half_done(platform, person)
    await person.http.post(f"/jobs/{job_id}/cancel")
    answer = await person.http.post(f"/jobs/{job_id}/restart")
    assert answer.status_code == 202
    job = answer.json()
    assert (job["state"], job["stage"], job["progress"], job["reason_code"]) == ("queued", "waiting", 0.0, None)
    job = await person.reached(job_id, "processing")
    assert [(attempt["attempt"], attempt["state"]) for attempt in job["attempts"]] == [
        (1, "cancelled"),
        (2, "processing"),
    ]
    assert (job["attempts"][0]["chunks_done"], job["attempts"][1]["chunks_done"]) == (1, 0)

    for chunk in (0, 1):
        await broker.publish(chunk_planned(job_id, chunk, attempt=2))
    await broker.publish(audio_planned(job_id, 2, attempt=2))
    (work,) = await eventually(lambda: [work for work in platform.workers.of(job_id, ChunkWork) if work.attempt == 2])
    assert work.chunk == 1, "chunk 0 is not decoded again"
    await broker.publish(chunk_transcribed(job_id, 1, attempt=2))
    (assembly,) = await eventually(lambda: platform.workers.of(job_id, AssembleWork))
    assert assembly.attempt == 2
    assert assembly.result_keys == [keys.result(job_id, 1, 0), keys.result(job_id, 2, 1)]
    await platform.complete(person, job_id, attempt=2)
    transcript = (await person.http.get(f"/jobs/{job_id}/transcript")).json()
    assert (transcript["attempt"], transcript["complete"]) == (2, True)
    assert transcript["text"] == "text of chunk 0 text of chunk 1"


async def test_a_restart_of_a_completed_job_with_the_same_options_decodes_nothing(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await platform.transcribe(person, job_id, "one", "two")
    for attempt in (2, 3):
        await person.http.post(f"/jobs/{job_id}/restart")
        await person.reached(job_id, "processing")
        await platform.broker.publish(audio_planned(job_id, 2, attempt=attempt))
        for chunk in (1, 0):
            await platform.broker.publish(chunk_planned(job_id, chunk, attempt=attempt))
        await platform.complete(person, job_id, attempt=attempt)
        assembly = platform.workers.of(job_id, AssembleWork)[-1]
        assert assembly.result_keys == [keys.result(job_id, 1, chunk) for chunk in (0, 1)], "the results themselves"
    assert all(work.attempt == 1 for work in platform.workers.of(job_id, ChunkWork))


async def test_another_plan_or_other_options_reuse_nothing(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await platform.transcribe(person, job_id, "one")
    await person.http.post(f"/jobs/{job_id}/restart")
    await person.reached(job_id, "processing")
    await platform.broker.publish(chunk_planned(job_id, 0, attempt=2, seconds=30.0))
    assert await eventually(
        lambda: [work.chunk for work in platform.workers.of(job_id, ChunkWork) if work.attempt == 2]
    ) == [0]
    await person.http.post(f"/jobs/{job_id}/cancel")
    await person.http.post(f"/jobs/{job_id}/restart", json={"initial_prompt": "Names: Zoë.", "hotwords": "Krzysztof"})
    await person.reached(job_id, "processing")
    await platform.broker.publish(chunk_planned(job_id, 0, attempt=3))
    (work,) = await eventually(lambda: [work for work in platform.workers.of(job_id, ChunkWork) if work.attempt == 3])
    assert (work.options.initial_prompt, work.options.hotwords) == ("Names: Zoë.", "Krzysztof")


async def test_the_old_transcript_stays_until_the_new_one_is_complete(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await platform.transcribe(person, job_id, "old words")
    answer = await person.http.post(f"/jobs/{job_id}/restart", json={"model": "small", "priority": "high"})
    job = answer.json()
    assert (job["options"]["model"], job["priority"], job["transcript_attempt"]) == ("small", "high", 1)
    await person.reached(job_id, "processing")
    plan = platform.workers.of(job_id, PlanWork)[-1]
    assert (plan.attempt, plan.options.model) == (2, "small")
    await platform.broker.publish(chunk_planned(job_id, 0, attempt=2))
    await platform.broker.publish(chunk_transcribed(job_id, 0, attempt=2, text="new words"))

    async def new_text() -> bool:
        partial = (await person.http.get(f"/jobs/{job_id}/transcript", params={"attempt": 2})).json()
        return bool(partial["text"] == "new words" and not partial["complete"])

    await eventually(new_text)
    old = (await person.http.get(f"/jobs/{job_id}/transcript")).json()
    assert (old["attempt"], old["text"], old["complete"]) == (1, "old words", True)
    assert [job["id"] for job in (await person.http.get("/jobs", params={"q": "old"})).json()["items"]] == [str(job_id)]

    await platform.broker.publish(audio_planned(job_id, 1, attempt=2))
    await platform.complete(person, job_id, attempt=2)
    new = (await person.http.get(f"/jobs/{job_id}/transcript")).json()
    assert (new["attempt"], new["text"]) == (2, "new words")
    assert (await person.http.get("/jobs", params={"q": "old"})).json()["items"] == []
    assert (await person.http.get(f"/jobs/{job_id}/transcript", params={"attempt": 1})).json()["text"] == "old words"
    answer = await person.http.get(f"/jobs/{job_id}/transcript", params={"attempt": 3})
    assert (answer.status_code, answer.json()["code"]) == (404, "attempt_not_found")


async def test_late_results_of_a_cancelled_attempt_change_nothing_after_a_restart(platform: Platform) -> None:
    person = platform.person()
    job_id = await half_done(platform, person)
    await person.http.post(f"/jobs/{job_id}/cancel")
    await person.http.post(f"/jobs/{job_id}/restart")
    await person.reached(job_id, "processing")
    await platform.broker.publish(chunk_transcribed(job_id, 1))
    await platform.broker.publish(transcript_ready(job_id))
    await platform.broker.publish(chunk_planned(job_id, 0, attempt=2))
    await eventually(lambda: person.job(job_id), lambda job: job["chunks_total"])
    job = await person.job(job_id)
    assert (job["state"], job["attempt"], job["transcript_attempt"]) == ("processing", 2, None)


async def test_a_restart_refuses_unknown_values(platform: Platform) -> None:
    person = platform.person()
    job_id = await person.create()
    await person.http.post(f"/jobs/{job_id}/cancel")
    answer = await person.http.post(f"/jobs/{job_id}/restart", json={"beam_size": 5})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    await platform.broker.broadcast(worker_heartbeat())

    async def refused() -> bool:
        answer = await person.http.post(f"/jobs/{job_id}/restart", json={"model": "large-v3"})
        if answer.status_code == 202:
            await person.http.post(f"/jobs/{job_id}/cancel")
        return bool(answer.status_code == 422 and answer.json()["code"] == "model_not_available")

    await eventually(refused)
