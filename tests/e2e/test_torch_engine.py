"""openai-whisper on torch serves the same platform through the same protocol."""

import json

import pytest

from native.fleet import Fleet
from support import recordings
from support.fleets import TORCH_WORKER, WORKERS
from support.platform_client import PlatformClient
from support.wording import word_error_rate

pytestmark = [pytest.mark.e2e, pytest.mark.torch]


async def test_sample_comes_out_as_spoken(fleet: Fleet, user: PlatformClient) -> None:
    for worker in WORKERS[:2]:
        await fleet.stop(worker)
    await fleet.start(TORCH_WORKER)
    recording = (recordings.SAMPLES / "sample.opus").read_bytes()
    job = user.finished(user.submit("sample.opus", recording, word_timestamps="true"))
    await fleet.stop(TORCH_WORKER)
    for worker in WORKERS[:2]:
        await fleet.start(worker)
    assert job["state"] == "completed"
    transcript = json.loads(user.download(job["id"], "json"))
    assert transcript["engine"]["name"] == "openai-whisper"
    assert word_error_rate(recordings.spoken_text(), transcript["text"]) <= 0.05
