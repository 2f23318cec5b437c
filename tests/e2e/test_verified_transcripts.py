"""Where a transcript comes from, and whether it is still the truth: with real Whisper, and a result tampered with."""

import json
from typing import Any

import pytest

from common.events import keys
from common.storage import ObjectStore
from common.testing import eventually_blocking
from native.fleet import Fleet
from support import recordings
from support.platform_client import PlatformClient

pytestmark = pytest.mark.e2e


def verified(user: PlatformClient, job_id: str, **wanted: int) -> dict[str, Any]:
    """Begin a verification and wait for its outcome."""
    begun = user.http.post(f"/jobs/{job_id}/verify", json=wanted)
    assert begun.status_code == 202, begun.text
    path = f"/jobs/{job_id}/verifications/{begun.json()['id']}"
    view: dict[str, Any] = eventually_blocking(
        lambda: user.http.get(path).raise_for_status().json(), lambda view: view["finished_at"]
    )
    return view


async def test_a_transcript_is_traced_verified_and_caught_when_somebody_altered_it(
    fleet: Fleet, user: PlatformClient
) -> None:
    recording = (recordings.SAMPLES / "sample.opus").read_bytes()
    job = user.finished(user.submit("sample.opus", recording, language="en"))
    job_id = job["id"]

    record = user.http.get(f"/jobs/{job_id}/provenance").raise_for_status().json()
    shared = json.loads(user.download(job_id, "json"))["provenance"]
    assert record["source_sha256"] == shared["source_sha256"] == job["sha256"]
    assert record["plan_sha256"] == shared["plan_sha256"]
    assert [chunk["result_sha256"] for chunk in record["chunks"]] == shared["result_sha256"]
    assert all(chunk["worker"] in fleet.transcribers for chunk in record["chunks"])
    assert all(len(chunk["engine"]["model_digest"]) >= 32 for chunk in record["chunks"])
    costs = job["costs"]
    assert 0 < costs["cpu_seconds"] < 600
    assert costs["audio_seconds"] == pytest.approx(job["speech_seconds"], abs=1)

    whole = verified(user, job_id, chunks=20)
    assert whole["verified"], whole
    assert len(whole["checks"]) == job["chunks_total"]

    store = ObjectStore(fleet.storage)
    try:
        key = keys.result(job["id"], 1, 0)
        stored = json.loads(await store.get(key))
        stored["windows"][0]["text"] = "We never said this."
        await store.put(key, json.dumps(stored).encode(), "application/json")
        found = verified(user, job_id, chunks=20)
        assert not found["verified"]
        assert {check["chunk"]: check["outcome"] for check in found["checks"]}[0] == "altered"

        await store.delete(keys.chunk_audio(job["id"], 1, 0))
        refused = user.http.post(f"/jobs/{job_id}/verify")
        assert (refused.status_code, refused.json()["code"]) == (409, "chunk_audio_gone")
    finally:
        await store.close()
