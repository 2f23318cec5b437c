"""A backup that is taken while people work, and the system that is made of it."""

import asyncio
import signal
from pathlib import Path

import pytest

from native import keeping
from native.backup import back_up
from native.fleet import Fleet, places
from native.programs import ProgramError
from native.settings import NativeSettings
from native.state import StateFolder
from support.fleets import canned_fleet
from support.platform_client import PlatformClient
from support.recordings import RATE, encoded, speech

pytestmark = pytest.mark.e2e

FORMATS = ("txt", "srt", "vtt", "json", "tsv")


def recording(seconds: int) -> bytes:
    return encoded(speech()[: seconds * RATE], "wav", "pcm_s16le")


async def signal_workers(fleet: Fleet, number: signal.Signals) -> None:
    for worker in fleet.transcribers:
        await fleet.kill(worker, number, hold=False)


def test_restored_system_has_what_was_there_and_finishes_what_was_begun(quick_fleet: Fleet, tmp_path: Path) -> None:
    fleet, user = quick_fleet, PlatformClient(quick_fleet.url("gateway"), *quick_fleet.credentials)
    done, doomed = user.submit("done.wav", recording(8)), user.submit("doomed.wav", recording(3))
    user.finished(doomed)
    before = user.finished(done)
    key = user.http.post("/api-keys", json={"name": "old", "scopes": ["read"]}).raise_for_status().json()["key"]
    asyncio.run(signal_workers(fleet, signal.SIGSTOP))
    begun = [user.submit(f"begun-{number}.wav", recording(4 + number)) for number in range(5)]
    later: list[str] = []

    def meanwhile(_: str) -> None:
        """Between the rows and the objects: one job goes, one comes, and work goes on."""
        if not later:
            user.http.delete(f"/jobs/{doomed}").raise_for_status()
            later.append(user.submit("later.wav", recording(3)))
            fleet.run(signal_workers(fleet, signal.SIGCONT))
            for job_id in begun:
                user.finished(job_id)

    file = tmp_path / "backup.tar"
    manifest = asyncio.run(back_up(places(fleet.state, fleet.settings), file, meanwhile))
    assert manifest["objects"]["altered"] == []
    assert doomed in manifest["deleted_meanwhile"]

    state = StateFolder(fleet.state.path.with_name("restored"))
    settings = NativeSettings().model_copy(update={"state_dir": state.path, "transcribers": 1, "gateway_port": 0})
    keeping.bring_back(state, settings, file)
    with pytest.raises(ProgramError, match="has tables already"):
        keeping.bring_back(state, settings, file)

    with canned_fleet(state.path) as restored:
        person = PlatformClient(restored.url("gateway"), *fleet.credentials)
        assert person.job(done) == before
        for job_id in (done, *begun):
            assert person.finished(job_id)["state"] == "completed"
            for kind in FORMATS:
                assert person.download(job_id, kind) == user.download(job_id, kind), kind
        assert person.download(done, "txt").strip()
        assert person.http.get(f"/jobs/{done}/audio").content == recording(8)
        assert [person.http.get(f"/jobs/{job_id}").status_code for job_id in (doomed, later[0])] == [404, 404]
        assert person.http.get("/jobs", headers={"X-API-Key": key, "Authorization": ""}).status_code == 200
        assert person.finished(person.submit("new.wav", recording(3)))["state"] == "completed"
        person.close()
    user.close()
    state.remove()
