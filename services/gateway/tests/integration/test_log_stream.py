"""Log streams over WebSockets with the real archive and broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from common.logging import LogSink
from common.messaging import Broker, LogPublisher
from common.testing import Issuer, eventually

from .conftest import NewUser

pytestmark = pytest.mark.integration

Platform = Any
Publish = Callable[..., None]


@pytest.fixture
async def publish(platform: Platform) -> AsyncIterator[Publish]:
    """Publishes log records of a job as a service would."""
    broker = await Broker.connect(platform.broker, "tests")
    sink = LogSink()
    publisher = asyncio.create_task(LogPublisher(broker, sink).run())

    def put(job_id: str, event: str, **keys: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        record = {"log_id": uuid4().hex, "timestamp": now, "level": "info", "event": event, "service": "transcriber"}
        sink.put(record | {"instance": "test", "job_id": job_id} | keys)

    yield put
    publisher.cancel()
    await asyncio.gather(publisher, return_exceptions=True)
    await broker.close()


@pytest.fixture
async def job_id(client: httpx.AsyncClient) -> str:
    answer = await client.post("/jobs", files={"file": ("a.mp3", b"sound")})
    created: str = answer.json()["id"]
    return created


@asynccontextmanager
async def watching(
    platform: Platform, job_id: str, token: str | None, **options: Any
) -> AsyncIterator[ClientConnection]:
    url = options.pop("url", platform.urls["gateway"]).replace("http://", "ws://")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with connect(
        f"{url}/ws/logs/{job_id}", additional_headers=headers | options.pop("headers", {}), proxy=None, **options
    ) as socket:
        yield socket


async def events(socket: ClientConnection, last: str) -> list[str]:
    """The events of all records up to the event `last`."""
    seen: list[str] = []
    async with asyncio.timeout(20):
        while last not in seen:
            seen.append(json.loads(await socket.recv())["event"])
    return seen


async def archived(client: httpx.AsyncClient, platform: Platform, job_id: str, token: str) -> list[str]:
    answer = await client.get(
        f"{platform.urls['jobs']}/jobs/{job_id}/logs", headers={"Authorization": f"Bearer {token}"}
    )
    return [item["record"]["event"] for item in answer.json()["items"]]


async def test_viewer_gets_archived_then_live_records_once_and_in_order(
    platform: Platform, client: httpx.AsyncClient, token: str, job_id: str, publish: Publish
) -> None:
    for number in range(20):
        publish(job_id, f"early {number}")
    await eventually(lambda: archived(client, platform, job_id, token), lambda seen: "early 19" in seen)
    async with watching(platform, job_id, token) as socket:
        first = await events(socket, "early 19")
        for number in range(50):
            publish(job_id, f"live {number}")
            publish(str(uuid4()), "of another job")
            await asyncio.sleep(0.01)
        rest = await events(socket, "live 49")
    ours = [event for event in first + rest if event.startswith(("early", "live"))]
    assert ours == [f"early {number}" for number in range(20)] + [f"live {number}" for number in range(50)]
    assert "recording stored" in first
    assert "of another job" not in first + rest


async def test_viewers_that_join_later_lose_and_repeat_no_record(
    platform: Platform, token: str, job_id: str, publish: Publish
) -> None:
    total = 300

    async def talk() -> None:
        for number in range(total):
            publish(job_id, f"line {number}")
            await asyncio.sleep(0.01)

    async def watch(delay: float) -> list[str]:
        await asyncio.sleep(delay)
        async with watching(platform, job_id, token) as socket:
            return await events(socket, f"line {total - 1}")

    _, results = await asyncio.gather(talk(), asyncio.gather(*(watch(0.4 * number) for number in range(6))))
    for seen in results:
        assert [event for event in seen if event.startswith("line")] == [f"line {n}" for n in range(total)]


async def test_long_archive_is_sent_completely(
    platform: Platform, client: httpx.AsyncClient, token: str, job_id: str, publish: Publish
) -> None:
    total = 1234
    for number in range(total):
        publish(job_id, f"line {number}")

    async def stored() -> bool:
        params = {"after": 0, "limit": 2000}
        headers = {"Authorization": f"Bearer {token}"}
        answer = await client.get(f"{platform.urls['jobs']}/jobs/{job_id}/logs", params=params, headers=headers)
        return len(answer.json()["items"]) >= total

    await eventually(stored)
    async with watching(platform, job_id, token) as socket:
        seen = await events(socket, f"line {total - 1}")
    assert [event for event in seen if event.startswith("line")] == [f"line {n}" for n in range(total)]


async def test_browsers_send_the_token_as_a_subprotocol(platform: Platform, token: str, job_id: str) -> None:
    offered = [Subprotocol("verbatim"), Subprotocol(f"bearer.{token}")]
    async with watching(platform, job_id, None, subprotocols=offered) as socket:
        assert socket.subprotocol == "verbatim"
        await events(socket, "recording stored")


@pytest.mark.parametrize(
    ("sends", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"Authorization": "Bearer not.a.token"}, 401, "invalid_token"),
        ({"Origin": "https://evil.example"}, 403, "foreign_origin"),
    ],
)
async def test_connections_without_a_valid_token_are_refused_before_the_handshake(
    platform: Platform, token: str, job_id: str, sends: dict[str, str], status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if "Origin" in sends else {}
    with pytest.raises(InvalidStatus) as refusal:
        async with watching(platform, job_id, None, headers=headers | sends):
            pass
    assert refusal.value.response.status_code == status
    assert json.loads(refusal.value.response.body)["code"] == code


async def test_jobs_of_others_and_unknown_jobs_are_not_found(platform: Platform, token: str) -> None:
    for job_id, status in ((str(uuid4()), 404), ("not-an-id", 422)):
        with pytest.raises(InvalidStatus) as refusal:
            async with watching(platform, job_id, token):
                pass
        assert refusal.value.response.status_code == status


async def test_page_of_the_same_origin_is_accepted(platform: Platform, token: str, job_id: str) -> None:
    async with watching(platform, job_id, token, origin=platform.urls["gateway"]) as socket:
        await events(socket, "recording stored")


async def end_of(socket: ClientConnection) -> ConnectionClosed:
    """Read until the stream ends; returns its close frame."""
    async with asyncio.timeout(30):
        while True:
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                return closed


async def test_stream_ends_when_the_token_expires(platform: Platform, job_id: str, issuer: Issuer) -> None:
    # The shortest tokens that auth issues live for a minute.
    async with watching(platform, job_id, issuer.token(role="admin", lifetime=3)) as socket:
        closed = await end_of(socket)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 4401
    assert "token" in closed.rcvd.reason


async def test_slow_viewer_is_disconnected_with_a_reason(
    platform: Platform, token: str, job_id: str, publish: Publish
) -> None:
    padding = "x" * 20_000
    with platform.running("gateway", "brisk gateway", LOG_VIEWER_BUFFER="100") as url:
        async with (
            watching(platform, job_id, token, url=url, max_queue=1, compression=None) as slow,
            watching(platform, job_id, token, url=url) as quick,
        ):
            await events(quick, "recording stored")
            for number in range(1000):
                publish(job_id, f"line {number}", padding=padding)
                if number % 20 == 19:
                    await events(quick, f"line {number}")
            closed = await end_of(slow)
            publish(job_id, "afterwards")
            await events(quick, "afterwards")
    assert closed.rcvd is not None
    assert closed.rcvd.code == 4408
    assert "Too slow" in closed.rcvd.reason


async def numbered(socket: ClientConnection, last: str) -> list[tuple[int, str]]:
    """Cursor and event of all messages up to the event `last`."""
    seen: list[tuple[int, str]] = []
    async with asyncio.timeout(20):
        while not seen or seen[-1][1] != last:
            record = json.loads(await socket.recv())
            seen.append((record["cursor"], record["event"]))
    return seen


async def test_viewer_can_continue_at_another_replica(
    platform: Platform, token: str, job_id: str, publish: Publish
) -> None:
    total = 200

    async def talk() -> None:
        for number in range(total):
            publish(job_id, f"line {number}")
            await asyncio.sleep(0.01)

    async def hop(first: str, second: str, leave_at: int) -> list[tuple[int, str]]:
        """Watch at one replica up to a line, then go on at the other one."""
        async with watching(platform, job_id, token, url=first) as socket:
            seen = await numbered(socket, f"line {leave_at}")
        async with watching(platform, f"{job_id}?after={seen[-1][0]}", token, url=second) as socket:
            return seen + await numbered(socket, f"line {total - 1}")

    with platform.running("gateway", "second gateway") as other:
        here = platform.urls["gateway"]
        talking = asyncio.create_task(talk())
        streams = await asyncio.gather(hop(here, other, 20), hop(other, here, 77), hop(here, here, 150))
        await talking
    for seen in streams:
        assert [event for _, event in seen if event.startswith("line")] == [f"line {n}" for n in range(total)]
        assert [cursor for cursor, _ in seen] == sorted({cursor for cursor, _ in seen})
        assert seen == streams[0]


async def test_system_stream_needs_an_administrator_and_has_lines_without_a_job(
    platform: Platform, token: str, publish: Publish, new_user: NewUser
) -> None:
    user_token = (await new_user())["token"]
    with pytest.raises(InvalidStatus) as refusal:
        async with watching(platform, "system", user_token):
            pass
    assert refusal.value.response.status_code == 403
    async with watching(platform, "system", token) as socket:
        publish("-", "of no job")
        publish(str(uuid4()), "of some job")
        seen = await numbered(socket, "of some job")
    assert "of no job" in [event for _, event in seen]
    assert "request answered" not in [event for _, event in seen]
    start = next(cursor for cursor, event in seen if event == "of no job")
    async with watching(platform, f"system?after={start}", token) as socket:
        again = await numbered(socket, "of some job")
    assert again == [one for one in seen if one[0] > start]


@pytest.mark.parametrize("after", ["x", "-1", str(2**70)])
async def test_invalid_cursor_is_refused_before_the_handshake(
    platform: Platform, token: str, job_id: str, after: str
) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with watching(platform, f"{job_id}?after={after}", token):
            pass
    assert refusal.value.response.status_code == 422


async def test_cursor_of_another_archive_starts_at_the_current_end(
    platform: Platform, token: str, job_id: str, publish: Publish
) -> None:
    async with watching(platform, f"{job_id}?after={2**60}", token) as socket:
        publish(job_id, "now")
        assert (await numbered(socket, "now"))[-1][1] == "now"
