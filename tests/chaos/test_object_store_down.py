"""Row 12: without the object store uploads are refused clearly and can be resumed; results wait, and no job fails."""

import asyncio
import base64
import signal

import pytest

from support import marked
from support.chaos import Expected, Platform
from support.invariants import assert_whole

pytestmark = pytest.mark.chaos

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


async def test_uploads_are_refused_clearly_while_the_store_is_away(platform: Platform) -> None:
    recording = marked.brief()
    platform.proxies.store.cut()
    answer = await asyncio.to_thread(
        platform.user.http.post, "/jobs", files={"file": ("a.flac", recording.content)}, timeout=60
    )
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]
    platform.proxies.store.mend()
    platform.submit(recording)

    await assert_whole(platform)


async def test_resumable_upload_goes_on_after_the_store_was_away(platform: Platform) -> None:
    content = marked.lengthy().content
    half = len(content) // 2
    name = base64.b64encode(b"lengthy.flac").decode()
    http = platform.user.http
    begun = http.post(
        "/files", headers=TUS | {"Upload-Length": str(len(content)), "Upload-Metadata": f"filename {name}"}
    )
    assert begun.status_code == 201, begun.text
    where = begun.headers["location"]
    first = http.patch(where, content=content[:half], headers=PIECE | {"Upload-Offset": "0"})
    assert first.status_code == 204, first.text

    platform.proxies.store.cut()
    refused = await asyncio.to_thread(
        http.patch, where, content=content[half:], headers=PIECE | {"Upload-Offset": str(half)}, timeout=60
    )
    assert refused.status_code == 503, refused.text
    platform.proxies.store.mend()
    offset = int(http.head(where, headers=TUS).headers["upload-offset"])
    assert offset >= half, "what was confirmed is kept"
    rest = http.patch(where, content=content[offset:], headers=PIECE | {"Upload-Offset": str(offset)})
    assert rest.status_code == 204, rest.text
    job_id = rest.headers["x-verbatim-job"].rpartition("/")[2]
    platform.accepted[job_id] = Expected("completed", platform.undisturbed["lengthy"])

    await assert_whole(platform)


async def test_results_wait_for_the_store(platform: Platform) -> None:
    job_id = platform.submit(marked.lengthy())
    await platform.chunks_done(job_id, 1)
    await platform.fleet.kill("seaweedfs", signal.SIGKILL)
    await asyncio.sleep(5)
    await platform.fleet.start("seaweedfs")

    await assert_whole(platform)
