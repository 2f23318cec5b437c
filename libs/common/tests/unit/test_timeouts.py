"""A client that does not read its answer is disconnected, and processes may open many connections."""

import asyncio
import resource
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from common.testing import eventually
from common.web.server import raise_descriptor_limit
from common.web.timeouts import protocol_with_timeouts


async def test_an_answer_that_nobody_reads_ends() -> None:
    ended = asyncio.Event()

    async def endless(_: Request) -> StreamingResponse:
        async def blocks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65_536
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return StreamingResponse(blocks())

    config = uvicorn.Config(
        Starlette(routes=[Route("/", endless)]),
        port=0,
        http=protocol_with_timeouts(5.0, 0.2),
        log_config=None,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    with server.capture_signals():
        running = asyncio.create_task(server._serve())
        async with asyncio.timeout(20):
            await eventually(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await ended.wait()
            writer.close()
            server.should_exit = True
            await running


async def test_a_handshake_with_a_body_is_answered() -> None:
    config = uvicorn.Config(Starlette(), port=0, http=protocol_with_timeouts(5.0, 5.0), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    head = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    with server.capture_signals():
        running = asyncio.create_task(server._serve())
        async with asyncio.timeout(20):
            await eventually(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            for method in ("POST", "GET"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"{method} / HTTP/1.1\r\n{head}{key}Content-Length: 3\r\n\r\nabc".encode())
                assert (await reader.readline()).startswith(b"HTTP/1.1 404")
                writer.close()
            server.should_exit = True
            await running


def test_a_process_raises_its_limit_of_descriptors() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raise_descriptor_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(before[1], 2**20) > 256
        assert hard == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
