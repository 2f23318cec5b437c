"""One worker, two or three, left alone or killed at random: the same recording gives the same bytes."""

import asyncio
import random
import signal
from typing import Any

import pytest

from native.fleet import Fleet
from support import recordings
from support.fleets import WORKERS
from support.platform_client import TERMINAL, PlatformClient
from support.wording import word_error_rate

pytestmark = pytest.mark.e2e

TEN_MINUTES = 600
PAUSES = (0.7, 31.0, 0.4, 53.0, 1.2)  # as in a meeting; what is silent costs no decoding
# A chunk's message may come three times, so two kills in a row cost no job even if they hit the same chunk.
KILLS = 2
SEED = 20_261_122
PATIENCE = 600.0  # seconds per run, on machines with other things to do
TEXTS = ("json", "txt", "srt", "vtt", "tsv")


async def test_a_recording_gives_the_same_bytes_on_any_number_of_workers_and_through_any_crash(
    fleet: Fleet, user: PlatformClient
) -> None:
    samples = recordings.long_recording(TEN_MINUTES, PAUSES)
    recording = recordings.encoded(samples, "flac", "flac")
    first, second, third = WORKERS[:3]

    await fleet.stop(second)
    alone = user.finished(user.submit("long.flac", recording, word_timestamps="true"), PATIENCE)
    assert alone["state"] == "completed"
    assert alone["chunks_total"] > 4
    mean_pause = sum(PAUSES) / len(PAUSES) * recordings.RATE
    repetitions = round(len(samples) / (len(recordings.speech()) + mean_pause))
    heard = user.download(alone["id"], "txt").decode()
    assert word_error_rate(" ".join([recordings.spoken_text()] * repetitions), heard) <= 0.05
    expected = {kind: user.download(alone["id"], kind) for kind in TEXTS}

    await asyncio.gather(fleet.start(second), fleet.start(third))
    of_three = user.submit("long.flac", recording, word_timestamps="true")
    await killed_at_random(fleet, user, of_three, alone["chunks_total"])
    check(user, of_three, expected)

    await fleet.stop(third)
    of_two = user.submit("long.flac", recording, word_timestamps="true")
    at_once = user.wait_for_chunks(of_two, 2)
    assert at_once["chunks_done"] < alone["chunks_total"]
    for name in (first, second):
        await fleet.kill(name, signal.SIGKILL)
    for name in (first, second):
        await fleet.start(name)
    check(user, of_two, expected)


async def killed_at_random(fleet: Fleet, user: PlatformClient, job_id: str, chunks: int) -> None:
    """Kill whom chance names, when chance says; the supervisor brings them back as it would in life."""
    chance = random.Random(SEED)
    for done in sorted(chance.sample(range(chunks - 2), KILLS)):
        victim = chance.choice(WORKERS[:3])
        job: dict[str, Any] = user.job(job_id)
        while job["chunks_done"] < done and job["state"] not in TERMINAL:
            await asyncio.sleep(0.05)
            job = user.job(job_id)
        assert job["state"] not in TERMINAL, "it ended before the last kill"
        await fleet.kill(victim, signal.SIGKILL, hold=False)


def check(user: PlatformClient, job_id: str, expected: dict[str, bytes]) -> None:
    """The job ends in its first attempt, with exactly these texts."""
    job = user.finished(job_id, PATIENCE)
    assert (job["state"], job["attempt"]) == ("completed", 1), "a crash costs chunks, not an attempt"
    for kind, content in expected.items():
        assert user.download(job_id, kind) == content, kind
