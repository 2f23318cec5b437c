"""What people do with jobs besides waiting: search what was said, follow, cancel, and run again, with real Whisper."""

import json
from typing import Any
from uuid import uuid4

import pytest

from support import recordings
from support.platform_client import PlatformClient

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def recording() -> bytes:
    return (recordings.SAMPLES / "sample.opus").read_bytes()


def followed(user: PlatformClient, job_id: str, after: int = 0, most: int | None = None) -> list[dict[str, Any]]:
    """Events of a job from a connection that is cut after so many, or ends with the job."""
    events: list[dict[str, Any]] = []
    headers = {"Last-Event-ID": str(after)}
    with user.http.stream("GET", f"/jobs/{job_id}/events", headers=headers, timeout=240) as answer:
        assert answer.status_code == 200
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append({"event": kind, **json.loads(line.removeprefix("data: "))})
                if len(events) == most:
                    break
    return events


def test_events_go_on_after_a_cut_without_gap_or_duplicate(user: PlatformClient, recording: bytes) -> None:
    job_id = user.submit("sample.opus", recording)
    events = followed(user, job_id, most=2)
    while events[-1].get("state") != "completed":
        events += followed(user, job_id, after=events[-1]["seq"], most=2)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    # Two workers finish chunks in any order; their numbers tell where they belong.
    chunks = sorted((event for event in events if event["event"] == "segments"), key=lambda event: event["chunk"])
    said = " ".join(segment["text"] for event in chunks for segment in event["segments"])
    assert said.split() == user.download(job_id, "txt").decode().split()


def test_spoken_words_find_the_job_and_its_text_can_be_read(user: PlatformClient, recording: bytes) -> None:
    tag = uuid4().hex
    answer = user.http.post("/jobs", files={"file": ("sample.opus", recording)}, data={"tags": tag})
    job = user.finished(answer.json()["id"])
    transcript = user.http.get(f"/jobs/{job['id']}/transcript").json()
    assert transcript["complete"]
    assert transcript["text"].split() == user.download(job["id"], "txt").decode().split()
    words = sorted(transcript["text"].replace(".", " ").replace(",", " ").split(), key=len)[-2:]
    found = user.http.get("/jobs", params={"q": " ".join(words), "tag": tag}).json()["items"]
    assert [each["id"] for each in found] == [job["id"]]
    assert user.http.get("/jobs", params={"q": f"{words[0]} -{words[1]}", "tag": tag}).json()["items"] == []
    assert user.download(job["id"], "docx").startswith(b"PK")


def test_a_cancelled_job_goes_on_where_it_was_and_comes_out_the_same(user: PlatformClient) -> None:
    audio = recordings.encoded(recordings.long_recording(100), "wav", "pcm_s16le")
    job_id = user.submit("long.wav", audio, model="base", language="en")
    user.wait_for_chunks(job_id, 1)
    cancelled = user.http.post(f"/jobs/{job_id}/cancel").json()
    assert cancelled["state"] == "cancelled"
    partial = user.http.get(f"/jobs/{job_id}/transcript").json()
    assert not partial["complete"]
    assert {item["type"] for item in partial["items"]} == {"segment", "gap"}

    assert user.http.post(f"/jobs/{job_id}/restart").status_code == 202
    job = user.finished(job_id)
    assert (job["state"], job["attempt"]) == ("completed", 2)
    assert [attempt["state"] for attempt in job["attempts"]] == ["cancelled", "completed"]
    untouched = user.finished(user.submit("long.wav", audio, model="base", language="en"))
    assert user.download(job_id, "json") == user.download(untouched["id"], "json")
    assert untouched["duplicate_of"] == job_id
    chunks = user.http.get(f"/jobs/{job_id}/provenance").raise_for_status().json()["chunks"]
    assert {chunk["attempt"] for chunk in chunks} == {1, 2}, "what the first attempt had finished was not decoded again"


def test_a_repeated_upload_makes_one_job(user: PlatformClient, recording: bytes) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    first, again = (user.submit("sample.opus", recording, headers=headers) for _ in range(2))
    assert first == again
    assert user.finished(first)["state"] == "completed"
