"""Whole recordings through a real broker and a real store: the outcome of each kind of file."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.events import AudioPlanned, AudioRejected, ChunkPlanned, ChunkTranscribed, JobOptions, keys
from common.testing import eventually

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("transcriber")]

RATE = 16_000


async def test_a_recording_becomes_a_transcript_in_every_format(jobs: Any, studio: Any, speech: Any) -> None:
    long = np.concatenate([speech, np.zeros(3 * RATE, np.float32)] * 3)
    work = await jobs.upload(studio.record("talk.flac", long, codec="flac"), options=JobOptions(word_timestamps=True))
    ready = await jobs.transcribe(work)

    chunks = jobs.events_of(work.job_id, ChunkPlanned)
    assert [chunk.chunk for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.windows for chunk in chunks][:2] == [1, 1]
    assert all(first.end_seconds <= second.start_seconds for first, second in pairwise(chunks))
    assert {chunk.language for chunk in chunks} == {"en"}

    assert ready.formats == ["json", "srt", "vtt", "txt", "tsv", "docx"]
    stored = {name: await jobs.store.get(keys.transcript(work.job_id, 1, name)) for name in ready.formats}
    assert hashlib.sha256(stored["json"]).hexdigest() == ready.transcript_sha256
    transcript = await jobs.document(keys.transcript(work.job_id, 1, "json"))
    assert transcript["duration_seconds"] == pytest.approx(len(long) / RATE, abs=0.01)
    assert len(transcript["segments"]) == ready.segments > 0
    edges = [edge for segment in transcript["segments"] for edge in (segment["start"], segment["end"])]
    assert edges == sorted(edges)
    assert edges[-1] <= transcript["duration_seconds"]
    assert sum(len(segment["words"]) for segment in transcript["segments"]) == ready.words
    assert stored["srt"].decode().count(" --> ") == stored["vtt"].decode().count(" --> ") == ready.segments
    assert (str(work.job_id)).encode() not in b"".join(stored.values())


async def test_the_plan_and_the_waveform_are_stored_beside_the_chunks(jobs: Any, studio: Any, speech: Any) -> None:
    work = await jobs.upload(studio.record("talk.wav", speech))
    planned = await jobs.plan(work)
    assert isinstance(planned, AudioPlanned)
    plan = await jobs.document(planned.plan_key)
    assert len(plan["chunks"]) == planned.chunks
    assert plan["warnings"] == []
    peaks = await jobs.document(planned.peaks_key)
    assert peaks["length"] == pytest.approx(planned.duration_seconds * 20, abs=1)
    for chunk in jobs.events_of(work.job_id, ChunkPlanned):
        meta = await jobs.document(keys.chunk_meta(work.job_id, 1, chunk.chunk))
        audio = await jobs.store.get(keys.chunk_audio(work.job_id, 1, chunk.chunk))
        assert len(audio) == sum(round(window["seconds"] * RATE) for window in meta["windows"]) * 2


async def test_planning_again_stores_the_same_bytes_and_publishes_the_same_events(
    jobs: Any, studio: Any, speech: Any
) -> None:
    work = await jobs.upload(studio.record("talk.wav", speech))
    planned = await jobs.plan(work)
    plan, first = await jobs.store.get(planned.plan_key), list(jobs.events)
    await jobs.broker.publish(work.model_copy(update={"event_id": work.job_id}))
    await eventually(lambda: len(jobs.events_of(work.job_id, AudioPlanned)) == 2)
    assert await jobs.store.get(planned.plan_key) == plan
    assert [event.event_id for event in jobs.events[len(first) :]] == [event.event_id for event in first]


async def test_silence_has_no_chunks_and_an_empty_transcript(jobs: Any, studio: Any) -> None:
    work = await jobs.upload(studio.record("silence.wav", np.zeros(20 * RATE, np.float32)))
    ready = await jobs.transcribe(work)
    (planned,) = jobs.events_of(work.job_id, AudioPlanned)
    assert (planned.chunks, planned.speech_seconds, planned.duration_seconds) == (0, 0.0, 20.0)
    assert (ready.segments, ready.words, ready.language) == (0, 0, None)
    assert await jobs.store.get(keys.transcript(work.job_id, 1, "txt")) == b""


async def test_a_video_is_transcribed(jobs: Any, studio: Any, speech: Any) -> None:
    path = studio.record("film.mp4", speech[: 20 * RATE], codec="aac", video=True)
    assert (await jobs.transcribe(await jobs.upload(path))).words > 0


async def test_a_stereo_call_with_a_silent_side_is_transcribed(jobs: Any, studio: Any, speech: Any) -> None:
    voice = speech[: 20 * RATE : 2].copy()
    path = studio.record("call.wav", np.stack([np.zeros_like(voice), voice]), codec="pcm_alaw", rate=8000)
    assert (await jobs.transcribe(await jobs.upload(path))).words > 0


async def test_a_file_name_in_any_script_is_no_error(jobs: Any, studio: Any, speech: Any) -> None:
    path = studio.record("Протокол 会議 «réunion».wav", speech[: 5 * RATE])
    assert (await jobs.transcribe(await jobs.upload(path))).words > 0


async def rejected(jobs: Any, path: Path, **options: Any) -> AudioRejected:
    outcome = await jobs.plan(await jobs.upload(path, options=JobOptions(**options)))
    assert isinstance(outcome, AudioRejected), outcome
    assert outcome.reason.endswith((".", "!"))
    return outcome


async def test_a_file_of_zero_bytes_is_rejected(jobs: Any, tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.write_bytes(b"")
    assert (await rejected(jobs, path)).reason_code == "empty_file"


async def test_a_text_file_named_mp3_is_rejected(jobs: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("only words\n" * 1000, encoding="utf-8")
    assert (await rejected(jobs, path)).reason_code == "undecodable"


async def test_a_corrupt_file_is_rejected(jobs: Any, studio: Any, speech: Any) -> None:
    path = studio.record("broken.m4a", speech, codec="aac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    assert (await rejected(jobs, path)).reason_code == "undecodable"


async def test_a_video_without_sound_is_rejected(jobs: Any, studio: Any) -> None:
    assert (await rejected(jobs, studio.film("silent.mp4"))).reason_code == "no_audio"


async def test_a_recording_beyond_the_limit_is_rejected(jobs: Any, studio: Any) -> None:
    path = studio.record("long.flac", np.zeros(301 * RATE, np.float32), codec="flac")
    assert (await rejected(jobs, path)).reason_code == "too_long"


async def test_an_unsupported_language_is_rejected(jobs: Any, studio: Any, speech: Any) -> None:
    path = studio.record("a.wav", speech[:RATE])
    assert (await rejected(jobs, path, language="tlh")).reason_code == "unsupported_language"


async def test_a_missing_recording_is_rejected(jobs: Any, studio: Any, speech: Any) -> None:
    work = await jobs.upload(studio.record("a.wav", speech[:RATE]))
    await jobs.store.delete(work.source_key)
    outcome = await jobs.plan(work)
    assert isinstance(outcome, AudioRejected)
    assert outcome.reason_code == "source_missing"


async def test_a_damaged_recording_is_transcribed_with_a_warning(jobs: Any, studio: Any, speech: Any) -> None:
    path = studio.record("cut.flac", speech, codec="flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    work = await jobs.upload(path)
    assert (await jobs.transcribe(work)).words > 0
    plan = await jobs.document(keys.plan(work.job_id, 1))
    assert "truncated" in [warning["code"] for warning in plan["warnings"]]


async def test_a_requested_language_is_used_without_detection(jobs: Any, studio: Any, speech: Any) -> None:
    work = await jobs.upload(studio.record("a.wav", speech[: 5 * RATE]), options=JobOptions(language="de"))
    ready = await jobs.transcribe(work)
    assert ready.language == "de"
    assert {chunk.language for chunk in jobs.events_of(work.job_id, ChunkPlanned)} == {"de"}


async def test_the_event_of_a_chunk_has_its_text(jobs: Any, studio: Any, speech: Any) -> None:
    work = await jobs.upload(studio.record("a.wav", speech[: 5 * RATE]))
    await jobs.transcribe(work)
    (event,) = jobs.events_of(work.job_id, ChunkTranscribed)
    result = await jobs.document(event.result_key)
    assert event.text == result["windows"][0]["text"]
    assert event.result_sha256 == hashlib.sha256(await jobs.store.get(event.result_key)).hexdigest()
    assert event.audio_seconds == pytest.approx(5.0, abs=0.5)
