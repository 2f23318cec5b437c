"""Killing the workers in the middle of a long recording costs time and no byte of the transcript."""

import signal

import pytest

from native.fleet import Fleet
from support import recordings
from support.platform_client import PlatformClient
from support.wording import word_error_rate

pytestmark = pytest.mark.e2e

TEN_MINUTES = 600


async def test_killed_workers_resume_to_the_same_transcript(fleet: Fleet, user: PlatformClient) -> None:
    recording = recordings.encoded(recordings.long_recording(TEN_MINUTES), "flac", "flac")

    undisturbed = user.finished(user.submit("long.flac", recording, word_timestamps="true"))
    assert undisturbed["state"] == "completed"
    assert undisturbed["chunks_total"] > 4
    expected = user.download(undisturbed["id"], "json")
    said = recordings.spoken_text() * round(TEN_MINUTES / 40)
    assert len(expected) > len(said)

    job_id = user.submit("long.flac", recording, word_timestamps="true")
    killed_at = user.wait_for_chunks(job_id, 2)
    for name in fleet.transcribers:
        await fleet.kill(name, signal.SIGKILL)
    assert killed_at["chunks_done"] < undisturbed["chunks_total"]
    for name in fleet.transcribers:
        await fleet.start(name)

    resumed = user.finished(job_id)
    assert (resumed["state"], resumed["attempt"]) == ("completed", 1), "a crash costs chunks, not an attempt"
    assert user.download(job_id, "json") == expected
    for kind in ("txt", "srt", "vtt", "tsv"):
        assert user.download(job_id, kind) == user.download(undisturbed["id"], kind)


async def test_long_recording_comes_out_whole(user: PlatformClient) -> None:
    samples = recordings.long_recording(200)
    job = user.finished(user.submit("whole.flac", recordings.encoded(samples, "flac", "flac"), language="en"))
    repetitions = round(len(samples) / (len(recordings.speech()) + 1.5 * recordings.RATE))
    heard = user.download(job["id"], "txt").decode()
    assert word_error_rate(" ".join([recordings.spoken_text()] * repetitions), heard) <= 0.05
