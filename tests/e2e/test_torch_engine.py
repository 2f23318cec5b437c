"""openai-whisper on torch serves the same platform through the same protocol."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from native.fleet import Fleet
from support import recordings
from support.fleets import running_fleet
from support.platform_client import PlatformClient
from support.wording import word_error_rate

pytestmark = [pytest.mark.e2e, pytest.mark.torch]


@pytest.fixture(scope="module")
def torch_fleet(native_state: Path) -> Iterator[Fleet]:
    """The platform with openai-whisper and one worker."""
    with running_fleet(native_state / "torch-fleet", "openai-whisper", transcribers=1) as fleet:
        yield fleet


def test_sample_comes_out_as_spoken(torch_fleet: Fleet) -> None:
    user = PlatformClient(torch_fleet.url("gateway"), *torch_fleet.credentials)
    recording = (recordings.SAMPLES / "sample.opus").read_bytes()
    job = user.finished(user.submit("sample.opus", recording, word_timestamps="true"))
    assert job["state"] == "completed"
    transcript = json.loads(user.download(job["id"], "json"))
    assert transcript["engine"]["name"] == "openai-whisper"
    assert word_error_rate(recordings.spoken_text(), transcript["text"]) <= 0.05
    user.close()
