"""The engine's process: one request at a time, restarted after its end, ended with its parent."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from common.testing import eventually, eventually_blocking
from transcriber.engines import process
from transcriber.engines.base import DecodeOptions, DeviceFailed, EngineDied, EngineError, Window
from transcriber.engines.process import EngineProcess, EngineSettings
from transcriber.engines.selftest import SelfTestFailed, clip, selftest

OPTIONS = DecodeOptions(language="en")


def noise(seed: int) -> Window:
    return np.random.default_rng(seed).normal(0, 0.1, 32_000).astype(np.float32)


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EngineProcess]:
    process = EngineProcess(EngineSettings(model_dir=tmp_path, engine="canned", environment="test"))
    yield process
    await process.close()


async def test_requests_are_served_by_a_child_process(engine: EngineProcess) -> None:
    name, models = await engine.models()
    assert name == "canned"
    assert "base" in models
    assert engine.pid is not None
    assert engine.pid != os.getpid()
    # Inference has a lower priority than the services.
    assert os.getpriority(os.PRIO_PROCESS, engine.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    info = await engine.info("small")
    assert (info.name, info.model) == ("canned", "small")
    assert await engine.detect_language("base", [noise(1)]) == ("en", 1.0)


async def test_concurrent_requests_get_their_own_replies(engine: EngineProcess) -> None:
    apart = [await engine.decode("base", [noise(seed)], OPTIONS) for seed in range(5)]
    together = await asyncio.gather(*(engine.decode("base", [noise(seed)], OPTIONS) for seed in range(5)))
    assert apart == together


async def test_a_cancelled_request_does_not_leave_its_reply_to_the_next(engine: EngineProcess) -> None:
    [expected] = await engine.decode("base", [noise(2)], OPTIONS)
    given_up = asyncio.create_task(engine.decode("base", [noise(1)] * 50, OPTIONS))
    await asyncio.sleep(0)
    given_up.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await given_up
    assert await engine.decode("base", [noise(2)], OPTIONS) == [expected]


async def test_a_request_fails_if_the_process_ends_and_the_next_starts_a_new_one(engine: EngineProcess) -> None:
    await engine.models()
    first = engine.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EngineDied, match="SIGKILL"):
        await engine.decode("base", [noise(1)], OPTIONS)
    assert len(await engine.decode("base", [noise(1)], OPTIONS)) == 1
    assert engine.pid not in (None, first)


async def test_signals_to_the_process_group_do_not_end_the_engine(engine: EngineProcess) -> None:
    await engine.models()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGTERM)
    os.kill(engine.pid, signal.SIGINT)
    assert len(await engine.decode("base", [noise(1)], OPTIONS)) == 1


async def test_an_idle_process_ends_and_the_next_request_starts_another(tmp_path: Path) -> None:
    settings = EngineSettings(model_dir=tmp_path, engine="canned", environment="test", idle_seconds=0.2)
    engine = EngineProcess(settings)
    await engine.models()
    first = engine.pid
    assert first is not None
    await eventually(lambda: not runs(first))
    assert len(await engine.decode("small", [noise(1)], OPTIONS)) == 1
    assert engine.pid not in (None, first)
    await engine.close()


async def test_closing_ends_a_running_request(engine: EngineProcess) -> None:
    await engine.models()
    request = asyncio.create_task(engine.decode("base", [noise(1)] * 2_000, OPTIONS))
    await asyncio.sleep(0.01)
    await engine.close()
    with pytest.raises(EngineDied):
        await request
    with pytest.raises(EngineDied, match="was closed"):
        await engine.models()


async def test_errors_of_the_engine_are_passed_on(tmp_path: Path) -> None:
    refused = EngineProcess(EngineSettings(model_dir=tmp_path, engine="canned", environment="production"))
    with pytest.raises(EngineError, match="refuses to run"):
        await refused.models()
    await refused.close()


async def test_an_unexpected_error_is_named_and_the_process_continues(engine: EngineProcess) -> None:
    with pytest.raises(EngineError, match="TypeError"):
        await engine.decode("base", [None], OPTIONS)  # type: ignore[list-item]
    assert len(await engine.decode("base", [noise(1)], OPTIONS)) == 1


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib, time\n"
        "from transcriber.engines.process import EngineProcess, EngineSettings\n"
        "async def main():\n"
        "    engine = EngineProcess(EngineSettings(pathlib.Path(sys.argv[1]), engine='canned', environment='test'))\n"
        "    await engine.models()\n"
        "    print('child', engine.pid, flush=True)\n"
        "    time.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        line = next(line for line in parent.stdout if line.startswith("child "))
        parent.kill()
    child = Path("/proc") / line.split()[1]
    eventually_blocking(lambda: not child.exists() or "\nState:\tZ" in (child / "status").read_text())


async def test_a_failed_device_is_reported_and_ends_the_process(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.models()
    monkeypatch.setattr(engine._child, "exchange", lambda *_: ("error", DeviceFailed("CUDA error")))
    with pytest.raises(DeviceFailed):
        await engine.decode("base", [noise(1)], OPTIONS)
    assert engine.device_failed.is_set()
    assert engine.pid is None


def test_a_process_with_gpu_device_sees_only_that_gpu(tmp_path: Path) -> None:
    pinned = process._gpu_environment(EngineSettings(model_dir=tmp_path, gpu_device="3"))
    assert pinned == {"CUDA_VISIBLE_DEVICES": "3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert process._gpu_environment(EngineSettings(model_dir=tmp_path)) == {}


async def test_the_canned_engine_skips_the_self_test(engine: EngineProcess) -> None:
    await selftest(engine, "base")


async def test_an_engine_with_a_wrong_text_fails_the_self_test(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = await engine.info("base")

    async def pretend(_model: str) -> object:
        return type(info)("ctranslate2", "4", "base", "", "int8", "cpu")

    monkeypatch.setattr(engine, "info", pretend)
    with pytest.raises(SelfTestFailed, match="expected 'Every worker"):
        await selftest(engine, "base")


def test_the_self_test_clip_is_a_few_seconds_of_speech() -> None:
    audio, text = clip()
    assert 3 < len(audio) / 16_000 < 6
    assert text.startswith("Every worker")
    assert float(np.abs(audio).max()) > 0.1
