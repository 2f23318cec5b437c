"""A server that stands for a service behind the gateway, and the gateway's client for it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway.relay.upstreams import Upstream


class Neighbour:
    """Answers request number n with `answer(n)`; with status 0 it closes the connection."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.answer: Callable[[int], Any] = lambda _: {}

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.partition(b":")[2]))
        self.asked += 1
        if self.status:
            body = json.dumps(self.answer(self.asked)).encode()
            kind = "application/json" if self.status < 400 else "application/problem+json"
            writer.write(
                f"HTTP/1.1 {self.status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
def neighbour() -> Neighbour:
    """The server; tests set its status and answer."""
    return Neighbour()


@pytest.fixture
async def upstream(neighbour: Neighbour) -> AsyncIterator[Upstream]:
    """The gateway's client for the server."""
    server = await asyncio.start_server(neighbour.respond, "127.0.0.1", 0)
    async with server:
        made = Upstream("auth", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", 5.0, "a secret")
        yield made
        await made.close()
