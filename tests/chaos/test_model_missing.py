"""Row 25: a worker without its model says so, is not ready and takes no work; the others do it."""

from pathlib import Path

import httpx
import pytest

from support import marked
from support.chaos import Platform
from support.invariants import assert_whole
from support.replicas import replica

pytestmark = pytest.mark.chaos


async def test_worker_without_a_model_takes_no_work(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    async with (
        replica(
            platform,
            "transcriber-1",
            tmp_path / "log",
            {"ENGINE": "ctranslate2", "MODEL_DIR": str(tmp_path / "empty")},
            ready=False,
        ) as url,
        httpx.AsyncClient(base_url=url) as worker,
    ):
        platform.submit(marked.lengthy())
        platform.submit(marked.brief())
        for job_id in platform.accepted:
            await platform.finished(job_id)
        answer = await worker.get("/health/ready")
        assert answer.status_code == 503, answer.text
        assert "engine" in answer.json()["failing"]

    await assert_whole(platform)
