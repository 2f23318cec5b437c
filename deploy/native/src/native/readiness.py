"""Readiness probes: each asks for the protocol's own first answer, because a bare TCP connect proves nothing."""

import asyncio
import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from .programs import Probe

# Not through a proxy that the environment names: the addresses are loopback addresses of our own.
_DIRECT = urllib.request.ProxyHandler({})


async def exchange(port: int, send: bytes, limit: float = 2.0) -> bytes:
    """Send bytes to a loopback port and return the first answer; empty without an answer in time."""
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(send)
                return await reader.read(512)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def amqp(port: int) -> Probe:
    """RabbitMQ has booted when it answers the protocol header with a method frame (Connection.Start)."""

    async def ready() -> bool:
        return (await exchange(port, b"AMQP\x00\x00\x09\x01"))[:1] == b"\x01"

    return ready


async def http_get(url: str, limit: float = 2.0, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """Status and body of a GET; (0, b"") without an answer."""
    opener = urllib.request.build_opener(_DIRECT, urllib.request.HTTPSHandler(context=context))

    def ask() -> tuple[int, bytes]:
        try:
            with opener.open(url, timeout=limit) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except (OSError, http.client.HTTPException):
            return 0, b""

    return await asyncio.to_thread(ask)


async def http_status(url: str) -> int:
    """The status of a GET, 0 without an answer."""
    return (await http_get(url))[0]


async def http_json(url: str, context: ssl.SSLContext | None = None) -> dict[str, Any]:
    """The JSON object that a GET answers with, empty when it answers anything else or nothing."""
    try:
        content = json.loads((await http_get(url, context=context))[1])
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def http_ok(url: str) -> Probe:
    """Ready when a GET answers 200."""

    async def ready() -> bool:
        return await http_status(url) == 200

    return ready


async def failing_checks(url: str) -> str:
    """The failing checks of a service's readiness answer; empty when it is ready."""
    status, body = await http_get(url)
    if status == 200:
        return ""
    try:
        failing = json.loads(body)["failing"]
    except (ValueError, KeyError, TypeError):
        return f"answers {status}" if status else "no answer"
    return f"failing: {', '.join(failing)}"
