"""Redelivered, cancelled and failing work, and the shutdown of the process."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from common.events import (
    AudioPlanned,
    CancelJob,
    ChunkPlanned,
    ChunkTranscribed,
    PauseWorkers,
    WorkerHeartbeat,
    keys,
)
from common.messaging import Broker
from common.settings import BrokerSettings
from common.testing import eventually
from models import default_dir
from native.testing import free_port
from transcriber.settings import Settings

pytestmark = pytest.mark.integration

RATE = 16_000


async def test_an_existing_result_is_published_and_not_decoded_again(
    transcriber: Any, jobs: Any, studio: Any, speech: Any
) -> None:
    work = await jobs.upload(studio.record("a.wav", speech[: 5 * RATE]))
    await jobs.transcribe(work)
    (first,) = jobs.events_of(work.job_id, ChunkTranscribed)
    marked = json.loads(await jobs.store.get(first.result_key))
    marked["windows"][0]["text"] = "left as it was"
    await jobs.store.put(first.result_key, json.dumps(marked).encode())

    (planned,) = jobs.events_of(work.job_id, ChunkPlanned)
    await jobs.broker.publish(jobs.chunk_work(work, planned))
    again = (await eventually(lambda: jobs.events_of(work.job_id, ChunkTranscribed)[1:]))[0]
    assert again.text == "left as it was"
    assert again.event_id == first.event_id
    assert again.decode_seconds == 0.0


async def test_two_workers_give_the_same_bytes_as_one(
    settings: Settings, start: Callable[[Settings], Any], jobs: Any, studio: Any, speech: Any
) -> None:
    path = studio.record("talk.flac", np.concatenate([speech] * 5), codec="flac")
    async with start(settings):
        alone = await jobs.transcribe(await jobs.upload(path))
    async with start(settings), start(settings.model_copy(update={"instance": "second"})):
        together = await jobs.transcribe(await jobs.upload(path))
    assert alone.transcript_sha256 == together.transcript_sha256


async def test_work_of_a_cancelled_job_is_dropped(transcriber: Any, jobs: Any, studio: Any, speech: Any) -> None:
    cancelled = await jobs.upload(studio.record("a.wav", speech))
    await jobs.broker.broadcast(CancelJob(job_id=cancelled.job_id))
    other = await jobs.upload(studio.record("b.wav", speech[: 5 * RATE]))
    await jobs.plan(other)
    await jobs.broker.publish(cancelled)
    last = await jobs.upload(studio.record("c.wav", speech[: 5 * RATE]))
    await jobs.plan(last)
    assert not [event for event in jobs.events if event.job_id == cancelled.job_id]
    assert jobs.dead == []


async def test_work_of_a_deleted_job_is_dropped_when_its_files_are_gone(
    transcriber: Any, jobs: Any, studio: Any, speech: Any
) -> None:
    work = await jobs.upload(studio.record("a.wav", speech[: 5 * RATE]))
    await jobs.plan(work)
    (planned,) = jobs.events_of(work.job_id, ChunkPlanned)
    await jobs.store.delete(keys.chunk_audio(work.job_id, work.attempt, planned.chunk))
    await jobs.broker.broadcast(CancelJob(job_id=work.job_id, attempt=work.attempt))
    await jobs.broker.publish(jobs.chunk_work(work, planned))
    other = await jobs.upload(studio.record("b.wav", speech[: 5 * RATE]))
    await jobs.transcribe(other)
    assert not jobs.events_of(work.job_id, ChunkTranscribed)
    assert jobs.dead == []


async def test_failing_work_is_dead_lettered_after_three_deliveries_and_blocks_nothing(
    transcriber: Any, jobs: Any, studio: Any, speech: Any
) -> None:
    work = await jobs.upload(studio.record("a.wav", speech[: 5 * RATE]))
    await jobs.plan(work)
    (planned,) = jobs.events_of(work.job_id, ChunkPlanned)
    await jobs.broker.publish(jobs.chunk_work(work, planned.model_copy(update={"chunk": 7})))  # there is none
    other = await jobs.upload(studio.record("b.wav", speech[: 5 * RATE]))
    await jobs.transcribe(other)
    await eventually(lambda: jobs.dead)
    assert jobs.dead == ["work.chunk.base"]


async def test_planning_continues_after_an_outage_of_the_store(
    transcriber: Any, jobs: Any, studio: Any, speech: Any, s3_server: Any
) -> None:
    work = await jobs.upload(studio.record("a.wav", speech))
    await asyncio.to_thread(lambda: s3_server.programs.run(s3_server.stop()))
    await jobs.broker.publish(work)
    await asyncio.sleep(1.0)  # let it find the store away
    await asyncio.to_thread(lambda: s3_server.programs.run(s3_server.start()))
    (planned,) = await eventually(lambda: jobs.events_of(work.job_id, AudioPlanned))
    assert planned.chunks == 2
    assert jobs.dead == []


async def test_stopping_requeues_running_work(
    settings: Settings, start: Callable[[Settings], Any], jobs: Any, studio: Any, speech: Any
) -> None:
    work = await jobs.upload(studio.record("long.flac", np.concatenate([speech] * 7), codec="flac"))
    async with start(settings.model_copy(update={"drain_seconds": 0.0})):
        await jobs.broker.publish(work)
        await eventually(lambda: jobs.events_of(work.job_id, ChunkPlanned))
    assert not jobs.events_of(work.job_id, AudioPlanned)
    async with start(settings):
        await eventually(lambda: jobs.events_of(work.job_id, AudioPlanned))
    assert jobs.dead == []


async def test_the_work_folder_is_emptied(
    transcriber: Any, settings: Settings, jobs: Any, studio: Any, speech: Any
) -> None:
    await jobs.plan(await jobs.upload(studio.record("a.wav", speech[: 5 * RATE])))
    await jobs.plan(await jobs.upload(studio.film("b.mp4")))
    assert list(settings.work_dir.iterdir()) == []


async def test_heartbeats_list_the_served_models(
    broker_settings: BrokerSettings, settings: Settings, start: Callable[[Settings], Any]
) -> None:
    broker = await Broker.connect(broker_settings, "listener")
    beats: asyncio.Queue[WorkerHeartbeat] = asyncio.Queue()

    async def on_control(key: str, body: bytes) -> None:
        if key == WorkerHeartbeat.name:
            beats.put_nowait(WorkerHeartbeat.model_validate_json(body))

    listener = await broker.listen("control", ["#"], on_control)
    async with start(settings), asyncio.timeout(20):
        beat = await beats.get()
    assert (beat.worker, beat.models, beat.engine, beat.busy) == (settings.instance, ["base"], "canned", None)
    await listener.close()
    await broker.close()


async def test_a_worker_without_a_model_is_not_ready(settings: Settings) -> None:
    from transcriber.app import create_app  # noqa: PLC0415 (only this test starts one that must not become ready)

    app = create_app(settings.model_copy(update={"models": ("no-such-model",)}))
    async with app.router.lifespan_context(app):
        failing = await eventually(app.state.readiness.failing, lambda failing: "background" in failing)
    assert {"engine", "consumers"} <= set(failing)


async def test_sigterm_requeues_work_and_ends_the_process(
    settings: Settings, jobs: Any, studio: Any, speech: Any, tmp_path: Path
) -> None:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "MODELS": "base",
        "ENGINE": "canned",
        "ENVIRONMENT": "test",
        "DRAIN_SECONDS": "0",
        "BROKER_URL": settings.broker_url,
        "S3_ENDPOINT": settings.s3_endpoint,
        "S3_BUCKET": settings.s3_bucket,
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key.get_secret_value(),
        "WORK_DIR": str(tmp_path),
        "MODEL_DIR": str(default_dir()),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "transcriber", "serve", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            ready = partial(client.get, "/health/ready")
            await eventually(ready, lambda answer: answer.status_code == 200, ignoring=httpx.TransportError)
        work = await jobs.upload(studio.record("long.flac", np.concatenate([speech] * 7), codec="flac"))
        await jobs.broker.publish(work)
        await eventually(lambda: jobs.events_of(work.job_id, ChunkPlanned))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    left = await asyncio.to_thread(lambda: list(tmp_path.glob("verbatim-plan-*")))
    assert left == []
    assert jobs.dead == []


async def test_a_paused_worker_finishes_its_work_and_consumes_nothing_new(
    settings: Settings, start: Callable[[Settings], Any], jobs: Any, studio: Any, speech: Any
) -> None:
    beats: asyncio.Queue[WorkerHeartbeat] = asyncio.Queue()

    async def consume(key: str, body: bytes) -> None:
        if key == WorkerHeartbeat.name:
            beats.put_nowait(WorkerHeartbeat.model_validate_json(body))

    async def paused(is_paused: bool) -> None:
        await jobs.broker.broadcast(PauseWorkers(workers=[settings.instance] if is_paused else ["somebody-else"]))
        while not beats.empty():
            beats.get_nowait()
        async with asyncio.timeout(30):
            while (await beats.get()).paused is not is_paused:
                pass

    listener = await jobs.broker.listen("control", ["#"], consume)
    async with start(settings):
        await paused(is_paused=True)
        waiting = await jobs.upload(studio.record("a.wav", speech[: 5 * RATE]))
        await jobs.broker.publish(waiting)
        await paused(is_paused=True)  # a whole heartbeat later
        assert not jobs.events_of(waiting.job_id, ChunkPlanned)
        await paused(is_paused=False)
        await eventually(lambda: jobs.events_of(waiting.job_id, AudioPlanned))
    await listener.close()
