"""Row 20: replicas whose clocks are ten minutes off do no harm: leases and retries go by the database's clock."""

import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole
from support.replicas import replica

pytestmark = pytest.mark.chaos

TEN_MINUTES = 600


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that shifts the clock of whoever preloads it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("clock") / "clock_shift.so"
    source = Path(__file__).with_name("clock_shift.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def _shifted(shim: Path, seconds: int) -> dict[str, str]:
    return {"LD_PRELOAD": str(shim), "CLOCK_SHIFT_SECONDS": str(seconds)}


async def test_replicas_with_wrong_clocks_share_the_work(platform: Platform, shim: Path, tmp_path: Path) -> None:
    wrong = {"jobs": TEN_MINUTES, "metadata": -TEN_MINUTES, "transcriber-1": TEN_MINUTES, "cleanup": -TEN_MINUTES}
    async with AsyncExitStack() as stack:
        for row, seconds in wrong.items():
            shifted = _shifted(shim, seconds)
            await stack.enter_async_context(replica(platform, row, tmp_path / row, shifted))
        for recording in (marked.lengthy(), marked.brief(), marked.brief()):
            platform.submit(recording)
        for job_id in platform.accepted:
            await platform.finished(job_id)
    await assert_whole(platform)


async def test_token_from_the_future_is_refused_cleanly(platform: Platform, shim: Path, tmp_path: Path) -> None:
    async with (
        replica(platform, "gateway", tmp_path / "log", _shifted(shim, -TEN_MINUTES)) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        name, password = platform.fleet.credentials
        fresh = (await client.post("/token", data={"username": name, "password": password})).json()["access_token"]
        answer = await client.get("/jobs", headers={"Authorization": f"Bearer {fresh}"})
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    await assert_whole(platform)
