"""Row 19: a worker without room on its disk hands recordings on, uncounted; when there is room, it works again."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.testing import eventually
from support import marked
from support.chaos import Platform
from support.invariants import assert_whole
from support.replicas import replica

pytestmark = pytest.mark.chaos

DELIVERIES = 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "verbatim-test", place], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a small file system: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


async def test_full_worker_costs_no_delivery(platform: Platform, small_disk: Path, tmp_path: Path) -> None:
    others, log = platform.fleet.transcribers, tmp_path / "log"
    async with replica(platform, "transcriber-1", log, {"WORK_DIR": str(small_disk)}):
        for name in others:
            await platform.fleet.stop(name)
        waiting = platform.submit(marked.lengthy())
        small = platform.submit(marked.brief())
        await platform.finished(small)
        await eventually(
            lambda: log.read_text().count("work postponed") > DELIVERIES,
            what="the worker has refused the recording more often than deliveries are allowed",
        )
        job = await platform.job(waiting)
        assert job["state"] == "processing", f"a worker without room gave the job up: {job}"
        for name in others:
            await platform.fleet.start(name)
        await assert_whole(platform)
