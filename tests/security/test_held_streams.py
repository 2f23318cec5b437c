"""One user who holds as many connections as allowed, and more, takes nothing from anybody else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from native.fleet import Fleet
from support.people import PASSWORD, SignUp
from support.platform_client import PlatformClient
from support.recordings import RATE, encoded, speech

pytestmark = pytest.mark.e2e

PER_USER = 100  # STREAMS_PER_USER by default


@pytest.fixture(scope="module")
def holder(sign_up: SignUp) -> PlatformClient:
    return sign_up("holder-of-streams")


@pytest.fixture(scope="module")
def worker(sign_up: SignUp) -> PlatformClient:
    return sign_up("worker-beside-streams")


@pytest.fixture
def waiting(quick_fleet: Fleet, holder: PlatformClient) -> Iterator[str]:
    """A job of the holder's that waits, because the only worker is paused: its events have no end."""
    admin = PlatformClient(quick_fleet.url("gateway"), *quick_fleet.credentials)
    paused = {"paused_workers": ["transcriber-1"]}
    admin.http.put("/admin/concurrency", json=paused).raise_for_status()
    try:
        yield holder.submit("waits.wav", encoded(speech()[: 2 * RATE], "wav", "pcm_s16le"))
    finally:
        admin.http.put("/admin/concurrency", json={}).raise_for_status()
        admin.close()


@asynccontextmanager
async def stream(client: httpx.AsyncClient, job: str) -> AsyncIterator[httpx.Response]:
    async with client.stream("GET", f"/jobs/{job}/events") as answer:
        yield answer


def asking(user: PlatformClient) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=user.url, headers=dict(user.http.headers), timeout=30, limits=limits)


async def test_streams_of_one_user_are_limited_and_others_work_on(
    quick_fleet: Fleet, holder: PlatformClient, worker: PlatformClient, waiting: str
) -> None:
    address = holder.url.replace("http", "ws", 1) + f"/ws/logs/{waiting}"
    bearer = {"Authorization": f"Bearer {holder.token}"}
    async with AsyncExitStack() as held, asking(holder) as client:
        for _ in range(10):
            await held.enter_async_context(connect(address, additional_headers=bearer, proxy=None))
        for _ in range(PER_USER - 10):
            answer = await held.enter_async_context(stream(client, waiting))
            assert answer.status_code == 200
        refusals = await asyncio.gather(*(client.get(f"/jobs/{waiting}/events") for _ in range(200)))
        assert {(refused.status_code, refused.json()["code"]) for refused in refusals} == {(429, "too_many_streams")}
        assert all(int(refused.headers["retry-after"]) > 0 for refused in refusals)
        async with connect(address, additional_headers=bearer, proxy=None) as socket:
            with pytest.raises(ConnectionClosedError) as closed:
                await asyncio.wait_for(socket.recv(), 30)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4429
            assert f"{PER_USER} open already" in closed.value.rcvd.reason

        # The holder's ordinary requests go on, and so does everything of others, streams included.
        assert (await client.get(f"/jobs/{waiting}")).status_code == 200
        async with asking(worker) as other:
            answers = await asyncio.gather(*(other.get("/jobs") for _ in range(50)))
            assert {answer.status_code for answer in answers} == {200}
            own = await asyncio.to_thread(worker.submit, "own.wav", b"RIFF")
            async with stream(other, own) as followed:
                assert followed.status_code == 200
                assert (await anext(followed.aiter_lines())).startswith("retry:")

    async with asking(holder) as client, asyncio.timeout(30):
        for _ in range(300):
            async with stream(client, waiting) as answer:
                if answer.status_code == 200:
                    return
            await asyncio.sleep(0.1)
    pytest.fail("places are not given back")


async def test_streams_end_with_the_session(quick_fleet: Fleet, waiting: str) -> None:
    """At once, and not with the next event: the job of these streams does not move."""
    again = PlatformClient(quick_fleet.url("gateway"), "holder-of-streams", PASSWORD)
    async with AsyncExitStack() as held, asking(again) as client:
        streams = [await held.enter_async_context(stream(client, waiting)) for _ in range(5)]
        bodies = [asyncio.create_task(answer.aread()) for answer in streams]
        await asyncio.sleep(0)
        assert (await client.post("/logout")).status_code == 204
        async with asyncio.timeout(10):
            await asyncio.gather(*bodies)
        refused = await client.get(f"/jobs/{waiting}/events")
        assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
    again.close()


async def test_a_client_that_does_not_read_costs_no_memory_and_no_place_for_ever(
    quick_fleet: Fleet, worker: PlatformClient
) -> None:
    """Its answer waits in the sockets' buffers; what the server holds of it is bounded."""
    finished = await asyncio.to_thread(worker.submit, "long.wav", encoded(speech()[: 20 * RATE], "wav", "pcm_s16le"))
    await asyncio.to_thread(worker.finished, finished)
    address = httpx.URL(worker.url)
    head = f"GET /jobs/{finished}/audio HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {worker.token}\r\n\r\n"
    writers = []
    for _ in range(50):
        _, writer = await asyncio.open_connection(address.host, address.port, limit=1024)
        writer.write(head.encode())
        writers.append(writer)
    async with asking(worker) as client:
        answers = await asyncio.gather(*(client.get(f"/jobs/{finished}") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
    for writer in writers:
        writer.close()
