"""A backup that is taken while people work, and the system that is made of it."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
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

PASSWORD = "an unlikely phrase 4712"
FORMATS = ("txt", "srt", "vtt", "json", "tsv", "docx")


def recording(seconds: int) -> bytes:
    return encoded(speech()[: seconds * RATE], "wav", "pcm_s16le")


@pytest.fixture(scope="module")
def ada(quick_fleet: Fleet) -> Iterator[PlatformClient]:
    url = quick_fleet.url("gateway")
    person = {"username": "ada-of-backups", "password": PASSWORD}
    httpx.post(f"{url}/register", json=person, timeout=30).raise_for_status()
    client = PlatformClient(url, **person)
    yield client
    client.close()


def test_restored_system_has_what_was_there_and_finishes_what_was_begun(
    quick_fleet: Fleet, ada: PlatformClient, tmp_path: Path
) -> None:
    done, doomed = ada.submit("done.wav", recording(4)), ada.submit("doomed.wav", recording(3))
    ada.finished(doomed)
    before = ada.finished(done)
    transcripts = {kind: ada.download(done, kind) for kind in FORMATS}
    key = ada.http.post("/api-keys", json={"name": "old", "scopes": ["read"]}).raise_for_status().json()["key"]
    quick_fleet.run(quick_fleet.kill("transcriber-1", signal.SIGSTOP, hold=False))
    begun = [ada.submit(f"begun-{number}.wav", recording(4)) for number in range(6)]
    later: list[str] = []

    def meanwhile(_: str) -> None:
        """Between the rows and the objects: one job goes, one comes, and work goes on."""
        if not later:
            ada.http.delete(f"/jobs/{doomed}").raise_for_status()
            later.append(ada.submit("later.wav", recording(3)))
            quick_fleet.run(quick_fleet.kill("transcriber-1", signal.SIGCONT, hold=False))
            for job_id in begun:
                ada.finished(job_id)

    file, where = tmp_path / "backup.tar", places(quick_fleet.state, quick_fleet.settings)
    manifest = asyncio.run(back_up(where, file, meanwhile))
    assert manifest["objects"]["altered"] == []
    assert doomed in manifest["deleted_meanwhile"]

    state = StateFolder(quick_fleet.state.path.with_name("restored"))
    settings = NativeSettings().model_copy(update={"state_dir": state.path, "transcribers": 1, "gateway_port": 0})
    keeping.bring_back(state, settings, file)
    with pytest.raises(ProgramError, match="has tables already"):
        keeping.bring_back(state, settings, file)

    with canned_fleet(state.path) as restored:
        person = PlatformClient(restored.url("gateway"), "ada-of-backups", PASSWORD)
        for job_id in begun:
            assert person.finished(job_id)["state"] == "completed"
            for kind in FORMATS:
                if kind != "docx":  # which has the hour of its making in it
                    assert person.download(job_id, kind) == ada.download(job_id, kind), kind
        assert person.job(done) == before
        assert {kind: person.download(done, kind) for kind in FORMATS} == transcripts
        assert person.http.get(f"/jobs/{done}/audio").content == recording(4)
        assert [person.http.get(f"/jobs/{job_id}").status_code for job_id in (doomed, later[0])] == [404, 404]
        assert person.http.get("/jobs", headers={"X-API-Key": key, "Authorization": ""}).status_code == 200
        assert person.finished(person.submit("new.wav", recording(3)))["state"] == "completed"
        person.close()
    state.remove()
