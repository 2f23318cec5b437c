"""A recording goes in through the gateway, and its transcript, times, metadata and log come out."""

import json
import re
from typing import Any

import pytest

from native.fleet import Fleet
from support import recordings
from support.platform_client import PlatformClient
from support.wording import normalised, word_error_rate

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def recording() -> bytes:
    return (recordings.SAMPLES / "sample.opus").read_bytes()


@pytest.fixture(scope="module")
def short() -> bytes:
    return recordings.encoded(recordings.speech()[: 3 * recordings.RATE], "wav", "pcm_s16le")


@pytest.fixture(scope="module")
def job(fleet: Fleet, recording: bytes) -> dict[str, Any]:
    """The sample, transcribed: what most tests here look at."""
    user = PlatformClient(fleet.url("gateway"), *fleet.credentials)
    job_id = user.submit(
        "sample.opus", recording, word_timestamps="true", headers={"X-Correlation-ID": "seen-everywhere"}
    )
    finished = user.finished(job_id)
    user.close()
    return finished


def test_sample_comes_out_as_spoken_in_every_format(user: PlatformClient, job: dict[str, Any]) -> None:
    assert (job["state"], job["reason"], job["progress"]) == ("completed", None, 1.0)
    assert job["language"] == "en", "nobody said so: it was heard"
    assert job["chunks_done"] == job["chunks_total"] > 0

    text = user.download(job["id"], "txt").decode()
    assert word_error_rate(recordings.spoken_text(), text) <= 0.05

    transcript = json.loads(user.download(job["id"], "json"))
    assert normalised(transcript["text"]) == normalised(text)
    times = [(segment["start"], segment["end"]) for segment in transcript["segments"]]
    assert times == sorted(times)
    assert all(0 <= start < end <= job["duration_seconds"] for start, end in times)
    assert job["id"] not in json.dumps(transcript), "a transcript says nothing about the run that made it"

    captions = re.findall(
        r"(\d\d:\d\d:\d\d,\d{3}) --> (\d\d:\d\d:\d\d,\d{3})", user.download(job["id"], "srt").decode()
    )
    assert len(captions) == len(times)
    assert user.download(job["id"], "vtt").startswith(b"WEBVTT")
    assert len(user.download(job["id"], "tsv").decode().splitlines()) == len(times) + 1


def test_words_have_times_when_asked_for(user: PlatformClient, job: dict[str, Any]) -> None:
    words = [word for segment in json.loads(user.download(job["id"], "json"))["segments"] for word in segment["words"]]
    assert normalised("".join(word["word"] for word in words)) == normalised(user.download(job["id"], "txt").decode())
    starts = [word["start"] for word in words]
    assert starts == sorted(starts)
    assert all(0 <= word["probability"] <= 1 for word in words)


def test_metadata_counts_what_was_said(user: PlatformClient, job: dict[str, Any]) -> None:
    metadata = user.http.get(f"/metadata/{job['id']}").json()
    words = len(user.download(job["id"], "txt").decode().split())
    assert metadata["words"] == pytest.approx(words, rel=0.05)
    assert metadata["words_per_minute"] == pytest.approx(metadata["words"] / job["duration_seconds"] * 60, rel=0.05)
    assert metadata["keywords"]


def test_log_holds_lines_of_every_service_under_one_correlation_id(user: PlatformClient, job: dict[str, Any]) -> None:
    job_id = job["id"]
    records = user.log_until(job_id, "job completed")
    mine = [record for record in records if record.get("correlation_id") == "seen-everywhere"]
    assert {record["service"] for record in mine} >= {"gateway", "jobs", "transcriber", "metadata"}
    assert {record["job_id"] for record in records} == {job_id}
    assert len({record["log_id"] for record in records}) == len(records)
    events = [record["event"] for record in records]
    assert events.index("job started") < events.index("chunk decoded") < events.index("transcript assembled")

    again = user.log_until(job_id, "job completed")
    assert {record["log_id"] for record in records} <= {record["log_id"] for record in again}, "history has it all"


def test_jobs_are_listed_newest_first(user: PlatformClient, short: bytes) -> None:
    mine = [user.submit(f"{number}.wav", short) for number in range(3)]
    page = user.http.get("/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in page["items"]] == mine[:0:-1]
    rest = user.http.get("/jobs", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert rest["items"][0]["id"] == mine[0]
    for job_id in mine:
        assert user.finished(job_id)["state"] == "completed"


def test_transcript_is_refused_politely_while_the_job_runs(user: PlatformClient, recording: bytes) -> None:
    job_id = user.submit("sample.opus", recording, model="base", language="en")
    answer = user.http.get(f"/jobs/{job_id}/download", params={"format": "txt"})
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.json()["code"] == "transcript_not_ready"
    assert user.finished(job_id)["state"] == "completed"


def test_deleted_job_is_gone_everywhere(user: PlatformClient, short: bytes) -> None:
    job = user.finished(user.submit("short.wav", short))
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
