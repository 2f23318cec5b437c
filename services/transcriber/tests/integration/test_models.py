"""One worker serves several models: each from its own queue, one loaded at a time, unloaded when idle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.events import JobOptions, keys
from common.testing import eventually

pytestmark = pytest.mark.integration


async def test_two_models_are_served_in_turn_and_unloaded_when_idle(
    jobs: Any, settings: Any, start: Callable[[Any], Any], studio: Any, speech: NDArray[np.float32]
) -> None:
    recording: Path = studio.record("clip.wav", speech[:80_000])
    two = settings.model_copy(update={"models": ("base", "small"), "model_idle_seconds": 0.3})
    async with start(two):
        for model in ("small", "base", "small"):
            work = await jobs.upload(recording, options=JobOptions(model=model, language="en"))
            await jobs.transcribe(work)
            transcript = await jobs.document(keys.transcript(work.job_id, work.attempt, "json"))
            assert transcript["engine"]["model"] == model
            await eventually(engines, lambda running: not running)


def engines() -> list[str]:
    """Engine processes that are children of this one."""
    children = Path("/proc/self/task").glob("*/children")
    found = []
    for pid in " ".join(child.read_text() for child in children).split():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if "transcriber.engines.child" in command:
            found.append(pid)
    return found
