"""The log of a job over a WebSocket, with the real archive behind it and the real bus beside it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from auth.keys import Vault
from auth.tables import SigningKey, User
from auth.tokens import TokenIssuer
from common import database
from common.logging import LogSink
from common.messaging import Broker, LogPublisher
from common.settings import DatabaseSettings

pytestmark = pytest.mark.integration

Platform = Any
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
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
    """The events of all records up to the one named `last`."""
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


async def test_viewer_gets_history_then_live_records_once_and_in_order(
    platform: Platform, client: httpx.AsyncClient, token: str, job_id: str, publish: Publish, eventually: Eventually
) -> None:
    for number in range(20):
        publish(job_id, f"early {number}")

    async def stored() -> bool:
        return "early 19" in await archived(client, platform, job_id, token)

    await eventually(stored)
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


async def test_nothing_is_lost_or_repeated_for_viewers_that_join_in_the_middle(
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


async def test_long_history_comes_completely(
    platform: Platform, client: httpx.AsyncClient, token: str, job_id: str, publish: Publish, eventually: Eventually
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
async def test_strangers_are_refused_before_the_handshake(
    platform: Platform, token: str, job_id: str, sends: dict[str, str], status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if "Origin" in sends else {}
    with pytest.raises(InvalidStatus) as refusal:
        async with watching(platform, job_id, None, headers=headers | sends):
            pass
    assert refusal.value.response.status_code == status
    assert json.loads(refusal.value.response.body)["code"] == code


async def test_foreign_and_unknown_jobs_do_not_exist_for_the_viewer(platform: Platform, token: str) -> None:
    for job_id, status in ((str(uuid4()), 404), ("not-an-id", 422)):
        with pytest.raises(InvalidStatus) as refusal:
            async with watching(platform, job_id, token):
                pass
        assert refusal.value.response.status_code == status


async def test_own_page_may_connect(platform: Platform, token: str, job_id: str) -> None:
    async with watching(platform, job_id, token, origin=platform.urls["gateway"]) as socket:
        await events(socket, "recording stored")


async def end_of(socket: ClientConnection) -> ConnectionClosed:
    """Read everything; returns how the stream ended."""
    async with asyncio.timeout(30):
        while True:
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                return closed


async def test_stream_ends_with_the_token(platform: Platform, job_id: str, token: str) -> None:
    # The shortest tokens that auth issues live for a minute, so this one is made from auth's own key.
    claims = jwt.decode(token, options={"verify_signature": False})
    engine = database.create_engine(DatabaseSettings(db_url=platform.db_urls["auth"]))
    async with database.sessions(engine)() as session:
        key = await session.get_one(SigningKey, jwt.get_unverified_header(token)["kid"])
    await engine.dispose()
    issuer = TokenIssuer(issuer="verbatim", audience="verbatim", lifetime=timedelta(seconds=3))
    user = User(
        id=UUID(claims["sub"]), username="admin", role="admin", generation=claims["gen"], must_change_password=False
    )
    short = issuer.for_session(user, uuid4(), Vault(platform.environment["SECRET_KEY"]).open(key))
    async with watching(platform, job_id, short) as socket:
        closed = await end_of(socket)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 4401
    assert "token" in closed.rcvd.reason


async def test_viewer_that_does_not_read_is_dropped_and_told_why_and_others_are_not(
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
