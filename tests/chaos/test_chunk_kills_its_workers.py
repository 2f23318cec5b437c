"""Row 15: a chunk that kills every worker who decodes it is given up after three, and its job alone fails."""

from typing import Any

import pytest

from common.testing import eventually
from support import marked
from support.chaos import Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos


async def test_deadly_chunk_fails_its_own_job_and_names_itself(platform: Platform) -> None:
    neighbours = [platform.submit(marked.lengthy()), platform.submit(marked.brief())]
    platform.undisturbed["deadly"] = b""
    deadly = platform.submit(marked.deadly())
    platform.expect(deadly, "failed", "work_dead_lettered")
    job = await platform.finished(deadly)
    assert job["reason"].startswith("Chunk ")
    assert "3 deliveries" in job["reason"]

    async def visible() -> dict[str, Any] | None:
        letters = platform.user.http.get("/admin/dead-letters", params={"job_id": deadly}).json()["items"]
        return letters[0] if letters else None

    letter = await eventually(visible, what="the chunk is among the dead letters")
    assert (letter["queue"], letter["reason"], letter["deliveries"]) == ("work.chunk.base", "delivery_limit", 3)
    for job_id in neighbours:
        assert (await platform.finished(job_id))["state"] == "completed"

    replayed = platform.user.http.post(f"/admin/dead-letters/{letter['id']}/replay")
    assert replayed.status_code == 200, replayed.text
    await platform.reach(deadly, lambda job: job["state"] == "processing", "is taken up again")
    platform.user.http.post(f"/jobs/{deadly}/cancel").raise_for_status()
    platform.expect(deadly, "cancelled", "cancelled", attempt=2)
    platform.user.http.delete(f"/admin/dead-letters/{letter['id']}").raise_for_status()

    await assert_whole(platform)
