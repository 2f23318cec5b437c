"""One process per GPU: each with its own GPU, ports and name, restarted when it ends, stopped in order."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from common.testing import eventually
from common.web.server import EXIT_SHUTDOWN
from transcriber.engines.supervisor import Supervisor, environments, gpus

# Says which GPU it has and its process id, then waits for its end.
CHILD = """
import os, pathlib, signal, sys, time
place = pathlib.Path(sys.argv[1]) / f"{os.environ['GPU_DEVICE']}-{os.getpid()}"
signal.signal(signal.SIGTERM, lambda *_: (place.with_suffix(".ended").touch(), sys.exit(0)))
place.with_suffix(".running").touch()
while True:
    time.sleep(60)
"""


def pids(folder: Path, pattern: str) -> list[int]:
    return [int(place.stem.partition("-")[2]) for place in folder.glob(pattern)]


def test_auto_is_every_visible_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus("auto", driver=tmp_path / "none") == []
    for card in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / card).mkdir()
    assert gpus("auto", driver=tmp_path) == ["0", "1"]
    assert gpus("1, 3", driver=tmp_path) == ["1", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus("auto", driver=tmp_path) == ["1"]


def test_each_process_has_its_own_gpu_ports_and_name() -> None:
    first, second = environments(["0", "2"], {"PORT": "8080", "METRICS_PORT": "0", "INSTANCE": "box", "HOME": "/h"})
    assert (first["GPU_DEVICE"], first["PORT"], first["INSTANCE"]) == ("0", "8080", "box-gpu0")
    assert (second["GPU_DEVICE"], second["PORT"], second["INSTANCE"]) == ("2", "8081", "box-gpu2")
    assert second["METRICS_PORT"] == "0"
    assert second["HOME"] == "/h"


async def test_an_ended_process_is_restarted_and_all_end_on_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    supervisor = Supervisor(environments(["0", "1"], os.environ), command=command, pause=0.01)
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: len(pids(tmp_path, "*.running")) == 2)
    os.kill(pids(tmp_path, "0-*.running")[0], signal.SIGKILL)
    await eventually(lambda: len(pids(tmp_path, "0-*.running")) == 2)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        await task
    assert len(pids(tmp_path, "*.ended")) == 2


async def test_a_process_that_was_shut_down_is_not_restarted(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        f"open({str(tmp_path / 'runs')!r}, 'a').write('x'); raise SystemExit({EXIT_SHUTDOWN})",
    ]
    async with asyncio.timeout(20):
        await Supervisor(environments(["0"], os.environ), command=command, pause=0.01).run()
    assert (tmp_path / "runs").read_text() == "x"
