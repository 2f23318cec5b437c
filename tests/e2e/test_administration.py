"""An administrator's day: figures, files, everything as a zip, a reset, a restart and the end; with canned speech.

The day comes when other tests have used the platform, and nothing comes after it.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from common.testing import eventually_blocking
from native.fleet import Fleet
from native.supervisor import Phase
from support import recordings
from support.platform_client import PlatformClient

pytestmark = pytest.mark.e2e

DOCUMENT = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs" / "openapi.json")
SERVICES = {"gateway", "auth", "jobs", "metadata", "cleanup", "transcriber"}


def answering(admin: PlatformClient) -> bool:
    """Whether all services are back behind the gateway."""
    try:
        return admin.http.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def declared(path: str, answer: httpx.Response) -> int:
    """The status of an answer that is as the document says."""
    DOCUMENT[path]["POST"].validate_response(answer)
    return answer.status_code


async def test_an_administrators_day(quick_fleet: Fleet, admin: PlatformClient) -> None:
    completed = admin.http.get("/admin/stats", params={"window": "1h"}).json()["kpis"]["completed"]
    job_id = admin.submit("interview.wav", recordings.encoded(recordings.speech(), "wav", "pcm_s16le"))
    assert admin.finished(job_id)["state"] == "completed"

    def get(path: str, **params: Any) -> Any:
        answer = admin.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    stats = eventually_blocking(
        lambda: get("/admin/stats", window="1h"),
        lambda stats: {each["service"] for each in stats["instances"]} == SERVICES,
    )
    assert all(each["alive"] and each["memory_bytes"] > 0 for each in stats["instances"])
    assert stats["kpis"]["completed"] == completed + 1
    assert 0 < stats["kpis"]["success_rate"] <= 1
    assert [each["worker"] for each in get("/admin/workers")["items"]] == ["transcriber-1"]
    changed = admin.http.put("/admin/concurrency", json={"max_concurrent_jobs": 2})
    assert (changed.status_code, get("/admin/concurrency")["max_concurrent_jobs"]) == (200, 2)

    def uploads() -> Any:
        return [each for each in get("/admin/files", kind="uploads", limit=1000)["items"] if each["job_id"] == job_id]

    (upload,) = uploads()
    content = admin.http.get("/admin/download-all", params={"format": "txt"}).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert f"interview {job_id}.txt" in archive.namelist()
    assert admin.http.delete(f"/admin/files/{upload['key']}").status_code == 204
    assert uploads() == []

    somebody = admin.http.post("/admin/users", json={"username": "somebody"}).json()
    kept = admin.http.post("/api-keys", json={"name": "mine"}).json()
    resumable = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000", "Content-Type": "application/offset+octet-stream"}
    assert admin.http.post("/files", content=b"x" * 10, headers=resumable).headers["upload-offset"] == "10"
    order = {"confirmation": "delete all jobs and users", "users": True}
    assert admin.http.post("/admin/reset", json=order).json()["uploads"] >= 1
    eventually_blocking(lambda: [each["username"] for each in get("/admin/users")["items"]] == ["admin"])
    assert admin.http.get(f"/admin/users/{somebody['id']}").status_code == 404
    assert kept["id"] in [each["id"] for each in get("/api-keys")["items"]], "who asked keeps everything"
    eventually_blocking(lambda: get("/jobs")["items"] == [])
    eventually_blocking(lambda: get("/admin/storage")["objects"] == 0)
    freed = eventually_blocking(
        lambda: [each for each in get("/admin/cleanup/reports")["items"] if "tombstoned" in each["freed"]]
    )
    assert freed[0]["bytes"] > 0

    before = {each["instance"]: each["pid"] for each in stats["instances"]}
    assert declared("/admin/restart", admin.http.post("/admin/restart")) == 202

    def all_new() -> bool:
        if not answering(admin):
            return False
        stats = admin.http.get("/admin/stats")
        now = {each["instance"]: each["pid"] for each in stats.json().get("instances", [])}
        return set(now) == set(before) and not set(now.values()) & set(before.values())

    eventually_blocking(all_new)
    assert get("/admin/concurrency")["max_concurrent_jobs"] == 2

    assert declared("/admin/shutdown", admin.http.post("/admin/shutdown")) == 202
    supervisor = quick_fleet._supervisor
    assert supervisor is not None
    services = [*sorted(SERVICES - {"transcriber"}), "transcriber-1"]
    eventually_blocking(lambda: all(supervisor.run_of(name).phase is Phase.STOPPED for name in services))
