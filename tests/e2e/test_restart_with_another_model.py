"""A restart with another model keeps both results until the new one is complete."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from native.fleet import Fleet
from support import recordings
from support.platform_client import PlatformClient

pytestmark = pytest.mark.e2e


def test_the_old_transcript_is_there_until_another_models_is_complete(quick_fleet: Fleet) -> None:
    admin = PlatformClient(quick_fleet.url("gateway"), *quick_fleet.credentials)
    job_id = admin.submit("sample.opus", (recordings.SAMPLES / "sample.opus").read_bytes(), model="base")
    admin.finished(job_id)
    old = {kind: admin.download(job_id, kind) for kind in ("json", "txt")}
    with paused(admin, quick_fleet.transcribers):
        restarted = admin.http.post(f"/jobs/{job_id}/restart", json={"model": "small"})
        assert restarted.status_code == 202
        assert (restarted.json()["options"]["model"], restarted.json()["transcript_attempt"]) == ("small", 1)
        assert {kind: admin.download(job_id, kind) for kind in old} == old
    job = admin.finished(job_id)
    assert (job["state"], job["attempt"], job["transcript_attempt"]) == ("completed", 2, 2)
    assert json.loads(old["json"])["engine"]["model"] == "base"
    assert json.loads(admin.download(job_id, "json"))["engine"]["model"] == "small"
    first = admin.http.get(f"/jobs/{job_id}/transcript", params={"attempt": 1}).raise_for_status().json()
    assert first["text"].split() == old["txt"].decode().split(), "the first result is still there to be read"
    admin.close()


@contextmanager
def paused(admin: PlatformClient, workers: list[str]) -> Iterator[None]:
    """Let these workers take nothing while the block runs."""
    admin.http.put("/admin/concurrency", json={"paused_workers": workers}).raise_for_status()
    try:
        yield
    finally:
        admin.http.put("/admin/concurrency", json={}).raise_for_status()
