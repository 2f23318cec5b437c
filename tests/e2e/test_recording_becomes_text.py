"""A recording goes in through the gateway, and its transcript, times, metadata and log come out."""

import json
import re

import pytest

from support import recordings
from support.platform_client import PlatformClient
from support.wording import normalised, word_error_rate

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def recording() -> bytes:
    return (recordings.SAMPLES / "sample.opus").read_bytes()


def test_sample_comes_out_as_spoken_in_every_format(user: PlatformClient, recording: bytes) -> None:
    job = user.finished(user.submit("sample.opus", recording, model="base", language="en"))
    assert (job["state"], job["reason"], job["progress"]) == ("completed", None, 1.0)
    assert job["language"] == "en"
    assert job["chunks_done"] == job["chunks_total"] > 0

    text = user.download(job["id"], "txt").decode()
    assert word_error_rate(recordings.spoken_text(), text) <= 0.05

    transcript = json.loads(user.download(job["id"], "json"))
    assert normalised(transcript["text"]) == normalised(text)
    times = [(segment["start"], segment["end"]) for segment in transcript["segments"]]
    assert times == sorted(times)
    assert all(0 <= start < end <= job["duration_seconds"] + 0.1 for start, end in times)
    assert job["id"] not in json.dumps(transcript), "a transcript says nothing about the run that made it"

    captions = re.findall(
        r"(\d\d:\d\d:\d\d,\d{3}) --> (\d\d:\d\d:\d\d,\d{3})", user.download(job["id"], "srt").decode()
    )
    assert len(captions) == len(times)
    assert user.download(job["id"], "vtt").startswith(b"WEBVTT")
    assert len(user.download(job["id"], "tsv").decode().splitlines()) == len(times) + 1


def test_language_is_detected_when_left_out(user: PlatformClient, recording: bytes) -> None:
    job = user.finished(user.submit("sample.opus", recording))
    assert (job["state"], job["language"]) == ("completed", "en")


def test_words_have_times_when_asked_for(user: PlatformClient, recording: bytes) -> None:
    job = user.finished(user.submit("sample.opus", recording, word_timestamps="true"))
    words = [word for segment in json.loads(user.download(job["id"], "json"))["segments"] for word in segment["words"]]
    assert normalised("".join(word["word"] for word in words)) == normalised(user.download(job["id"], "txt").decode())
    starts = [word["start"] for word in words]
    assert starts == sorted(starts)
    assert all(0 <= word["probability"] <= 1 for word in words)


def test_metadata_counts_what_was_said(user: PlatformClient, recording: bytes) -> None:
    job = user.finished(user.submit("sample.opus", recording))
    metadata = user.http.get(f"/metadata/{job['id']}").json()
    words = len(user.download(job["id"], "txt").decode().split())
    assert metadata["words"] == pytest.approx(words, rel=0.05)
    assert metadata["words_per_minute"] == pytest.approx(metadata["words"] / job["duration_seconds"] * 60, rel=0.05)
    assert metadata["keywords"]


def test_log_holds_lines_of_every_service_under_one_correlation_id(user: PlatformClient, recording: bytes) -> None:
    job_id = user.submit("sample.opus", recording, headers={"X-Correlation-ID": "seen-everywhere"})
    records = user.log_until(job_id, "job completed")
    mine = [record for record in records if record.get("correlation_id") == "seen-everywhere"]
    assert {record["service"] for record in mine} >= {"gateway", "jobs", "transcriber", "metadata"}
    assert {record["job_id"] for record in records} == {job_id}
    assert len({record["log_id"] for record in records}) == len(records)
    events = [record["event"] for record in records]
    assert events.index("job started") < events.index("chunk decoded") < events.index("transcript assembled")

    again = user.log_until(job_id, "job completed")
    assert {record["log_id"] for record in records} <= {record["log_id"] for record in again}, "history has it all"


def test_jobs_are_listed_newest_first(user: PlatformClient, recording: bytes) -> None:
    mine = [user.submit(f"{number}.opus", recording) for number in range(3)]
    page = user.http.get("/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in page["items"]] == mine[:0:-1]
    rest = user.http.get("/jobs", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert rest["items"][0]["id"] == mine[0]
    for job_id in mine:
        assert user.finished(job_id)["state"] == "completed"


def test_transcript_is_refused_politely_while_the_job_runs(user: PlatformClient) -> None:
    job_id = user.submit("long.wav", recordings.encoded(recordings.long_recording(120), "wav", "pcm_s16le"))
    answer = user.http.get(f"/jobs/{job_id}/download", params={"format": "txt"})
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.json()["code"] == "transcript_not_ready"
    assert user.finished(job_id)["state"] == "completed"


def test_deleted_job_is_gone_everywhere(user: PlatformClient, recording: bytes) -> None:
    job = user.finished(user.submit("sample.opus", recording))
    assert user.http.delete(f"/jobs/{job['id']}").status_code == 204
    for path in (f"/jobs/{job['id']}", f"/jobs/{job['id']}/download"):
        assert user.http.get(path).status_code == 404


def test_strangers_are_turned_away(user: PlatformClient) -> None:
    for path in (
        "/jobs",
        "/jobs/00000000-0000-0000-0000-000000000000",
        "/metadata/00000000-0000-0000-0000-000000000000",
    ):
        answer = user.http.get(path, headers={"Authorization": "Bearer nonsense"})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


def test_health_names_every_service(user: PlatformClient) -> None:
    health = user.http.get("/health").json()
    assert health["status"] == "ok"
    assert set(health["services"]) >= {"auth", "jobs", "metadata", "cleanup"}
