"""The parts around the work: settings, cancellations, heartbeats, folders, retries."""

import asyncio
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from common.storage import StoreUnavailable
from transcriber.engines.gpu import parsed
from transcriber.errors import WorkCancelled
from transcriber.settings import Settings
from transcriber.work import retries
from transcriber.work.cancellations import Cancellations
from transcriber.work.retries import retry
from transcriber.work.worker import Worker
from transcriber.work.workspace import remove_orphans, work_folder

NEEDED: dict[str, Any] = {
    "broker_url": "amqp://guest:guest@127.0.0.1/",
    "aws_access_key_id": "a",
    "aws_secret_access_key": "b",
}


def test_models_are_a_comma_separated_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS", "base, tiny.en")
    assert Settings(**NEEDED).models == ("base", "tiny.en")
    monkeypatch.setenv("MODELS", "")
    assert Settings(**NEEDED).models == ()


def test_the_canned_engine_is_refused_in_production() -> None:
    with pytest.raises(ValidationError, match="canned"):
        Settings(**NEEDED, engine="canned")
    assert Settings(**NEEDED, engine="canned", environment="test").engine == "canned"


def test_only_the_cancelled_job_is_cancelled() -> None:
    cancellations, job = Cancellations(), uuid4()
    cancellations.add(job)
    with pytest.raises(WorkCancelled):
        cancellations.check(job, 1)
    cancellations.check(uuid4(), 1)


def test_the_oldest_cancellations_are_dropped() -> None:
    cancellations, first = Cancellations(), uuid4()
    cancellations.add(first)
    for _ in range(10_000):
        cancellations.add(uuid4())
    cancellations.check(first, 1)


def test_a_heartbeat_names_the_running_work() -> None:
    worker = Worker(name="w1", engine="canned", device="cpu", models=["base"])
    with worker.busy_with("work.plan", "plan/1/1"):
        beat = worker.heartbeat()
    assert (beat.busy, beat.pid, beat.models) == ("plan/1/1", os.getpid(), ["base"])
    assert worker.heartbeat().busy is None


def test_the_output_of_nvidia_smi_is_parsed() -> None:
    use = parsed("NVIDIA H100 80GB HBM3, 1024, 81559, 37\n")
    assert (use.name, use.memory_used_bytes, use.busy_percent) == ("NVIDIA H100 80GB HBM3", 1024**3, 37.0)
    for nonsense in ("", "No devices were found", "Tesla, [N/A], 1, 2"):
        with pytest.raises(ValueError, match=r".*"):
            parsed(nonsense)


def test_only_folders_of_ended_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / "verbatim-plan-4194305-dead").mkdir()
    (tmp_path / "something-else").mkdir()
    with work_folder(tmp_path) as ours:
        (ours / "source").write_bytes(b"x")
        remove_orphans(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["something-else", ours.name])
    assert not ours.exists()


async def test_calls_of_an_unavailable_store_are_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_FIRST_PAUSE", 0.001)
    tries = 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise StoreUnavailable("away")
        return "here"

    assert await retry(attempt) == "here"


async def test_retries_end() -> None:
    async def attempt() -> None:
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(5):
            await retry(attempt, seconds=0.1)
