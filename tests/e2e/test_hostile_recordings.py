"""What people really upload: each gets the right transcript or a clear permanent error, and the system goes on."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from support import recordings
from support.platform_client import PlatformClient
from support.wording import word_error_rate

pytestmark = pytest.mark.e2e


def corrupt() -> bytes:
    """Noise behind the first bytes of an MP3."""
    return b"ID3\x04\x00\x00\x00\x00\x00\x00" + np.random.default_rng(1).bytes(200_000)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("corrupt.mp3", corrupt, "undecodable"),
        ("notes.mp3", lambda: b"These are the minutes of the meeting, not its recording.\n" * 50, "undecodable"),
        ("nothing.wav", lambda: b"", "empty_file"),
    ],
)
def test_what_is_no_recording_fails_with_a_reason(
    user: PlatformClient, name: str, content: Callable[[], bytes], code: str
) -> None:
    job = user.finished(user.submit(name, content()))
    assert (job["state"], job["reason_code"]) == ("failed", code)
    assert job["reason"].endswith(".")
    assert len(job["reason"].split()) > 3
    assert job["attempt"] == 1, "a permanent error is not tried again"


def test_silence_gives_an_empty_transcript_that_says_why(user: PlatformClient) -> None:
    content = recordings.encoded(recordings.silence(20), "wav", "pcm_s16le")
    job = user.finished(user.submit("silence.wav", content))
    assert (job["state"], job["reason_code"]) == ("completed", "no_speech")
    assert job["reason"]
    assert user.download(job["id"], "txt").strip() == b""
    assert json.loads(user.download(job["id"], "json"))["segments"] == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("holiday.mp4", recordings.video_with_sound),
        ("call.wav", recordings.telephone_call),
        ("Grüße aus 東京 – «интервью».opus", (recordings.SAMPLES / "sample.opus").read_bytes),
    ],
)
def test_unusual_recording_comes_out_as_spoken(user: PlatformClient, name: str, content: Callable[[], bytes]) -> None:
    job = user.finished(user.submit(name, content(), language="en"))
    assert (job["state"], job["file_name"]) == ("completed", name)
    assert word_error_rate(recordings.spoken_text(), user.download(job["id"], "txt").decode()) <= 0.1


def test_unicode_name_comes_back_in_the_download(user: PlatformClient) -> None:
    content = (recordings.SAMPLES / "sample.opus").read_bytes()
    job = user.finished(user.submit("Réunion 東京.opus", content))
    answer = user.http.get(f"/jobs/{job['id']}/download", params={"format": "srt"})
    assert "filename*=UTF-8''R%C3%A9union%20%E6%9D%B1%E4%BA%AC.srt" in answer.headers["content-disposition"]
