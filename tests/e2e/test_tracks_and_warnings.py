"""Files with several tracks, and files that lack something: what the job says, and what comes out."""

import json

import numpy as np
import pytest

from support import recordings
from support.platform_client import PlatformClient
from support.tracks import Sounding, reel

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def voices() -> tuple[recordings.Samples, recordings.Samples]:
    """Two passages of the bundled speech."""
    speech = recordings.speech()
    return speech[: 10 * recordings.RATE], speech[20 * recordings.RATE : 30 * recordings.RATE]


@pytest.fixture(scope="module")
def call(voices: tuple[recordings.Samples, recordings.Samples]) -> bytes:
    """A file of a silent track and two with a voice each, one after the other."""
    first, second = ((voice / 32768).astype(np.float32) for voice in voices)
    silent = np.zeros(20 * recordings.RATE, np.float32)
    return reel(
        "matroska",
        [
            Sounding(silent, metadata={"title": "Game"}, default=True),
            Sounding(first, metadata={"language": "eng", "title": "Ann"}),
            Sounding(second, metadata={"title": "Bob"}, delay=10.0),
        ],
    )


def words(user: PlatformClient, job_id: str) -> list[str]:
    return user.download(job_id, "txt").decode().split()


def test_every_track_is_accounted_for_and_can_be_chosen(user: PlatformClient, call: bytes) -> None:
    job = user.finished(user.submit("call.mkv", call, language="en"))
    assert (job["state"], job["options"]["track"], job["source"]["track"]) == ("completed", None, 2)
    assert [track["title"] for track in job["source"]["tracks"]] == ["Game", "Ann", "Bob"]
    assert [track["speech_seconds"] > 1 for track in job["source"]["tracks"]] == [False, True, True]
    (warning,) = job["warnings"]
    assert (warning["code"], "track=3" in warning["text"]) == ("other_tracks_have_speech", True)
    assert json.loads(user.download(job["id"], "json"))["warnings"] == job["warnings"]
    ann = words(user, job["id"])

    answer = user.http.post(f"/jobs/{job['id']}/restart", json={"track": 3})
    assert answer.status_code == 202
    job = user.finished(job["id"])
    assert (job["source"]["track"], job["warnings"], job["attempt"]) == (3, [], 2)
    assert [attempt["options"]["track"] for attempt in job["attempts"]] == [None, 3]
    assert [len(attempt["warnings"]) for attempt in job["attempts"]] == [1, 0]
    bob = words(user, job["id"])
    assert len(set(ann) & set(bob)) < min(len(ann), len(bob)) / 2
    segments = json.loads(user.download(job["id"], "json"))["segments"]
    assert segments[0]["start"] > 9.5

    both = user.finished(user.submit("call.mkv", call, language="en", track="mix"))
    assert (both["source"]["track"], both["warnings"]) == ("mix", [])
    mixed = words(user, both["id"])
    assert len(set(mixed) & set(ann)) > len(set(ann)) * 0.7
    assert len(set(mixed) & set(bob)) > len(set(bob)) * 0.7


def test_track_that_does_not_exist_fails_with_those_that_do(user: PlatformClient, call: bytes) -> None:
    job = user.finished(user.submit("call.mkv", call, track="7"))
    assert (job["state"], job["reason_code"], job["attempt"]) == ("failed", "no_such_track", 1)
    assert "2 (eng, “Ann”, aac)" in job["reason"]


@pytest.mark.parametrize("track", ["0", "-1", "foo", "1.5"])
def test_impossible_track_is_refused(user: PlatformClient, track: str) -> None:
    answer = user.http.post("/jobs", files={"file": ("a.wav", b"RIFF")}, data={"track": track})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_form")
    assert "number of an audio track" in answer.text


def test_tiny_recording_has_no_speech(user: PlatformClient) -> None:
    for samples in (1, 1024):
        content = recordings.encoded(recordings.speech()[:samples], "wav", "pcm_s16le")
        job = user.finished(user.submit("tiny.wav", content))
        assert (job["state"], job["reason_code"], job["attempt"]) == ("completed", "no_speech", 1)


def test_what_is_missing_stands_in_the_job_and_the_rest_is_played(user: PlatformClient) -> None:
    whole = recordings.encoded(recordings.speech(48_000), "webm", "libopus", rate=48_000)
    job = user.finished(user.submit("cut.webm", whole[: len(whole) // 2], language="en"))
    assert [warning["code"] for warning in job["warnings"]] == ["truncated"]
    audio = user.http.get(f"/jobs/{job['id']}/audio", headers={"Range": "bytes=0-99"})
    assert (audio.status_code, audio.headers["content-type"]) == (206, "audio/webm")
    assert audio.headers["content-disposition"].startswith("inline; ")
    assert audio.headers["x-content-type-options"] == "nosniff"
