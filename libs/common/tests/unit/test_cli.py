"""The command line of a service, run as users and supervisors run it: as a process."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from common.testing import eventually, eventually_blocking
from native.testing import free_port

SERVICE = Path(__file__).parent.parent / "support" / "example_service.py"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONWARNINGS": "error",
    "DB_URL": "postgresql+asyncpg://example:swordfish@db:5432/verbatim",
    "API_KEY": "swordfish",
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SERVICE), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


class Serving:
    """A service that serves."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, metrics_port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        self.output = ""

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None
            return httpx.get(f"{self.url}/health/ready").status_code == 200

        eventually_blocking(ready, ignoring=httpx.TransportError)

    def end(self) -> list[dict[str, Any]]:
        """Send SIGTERM, wait and return the records it logged."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=30)
        assert err == ""
        return [json.loads(line) for line in out.splitlines()]


@contextmanager
def serving(**environment: str) -> Iterator[Serving]:
    port, metrics_port = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, str(SERVICE), "serve"],
        env={**ENVIRONMENT, "PORT": str(port), "METRICS_PORT": str(metrics_port), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    service = Serving(process, port, metrics_port)
    try:
        service.wait_until_ready()
        yield service
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_serving_answers_logs_counts_and_ends_in_order(tmp_path: Path) -> None:
    with serving(LOG_DIR=str(tmp_path)) as service:
        assert httpx.get(f"{service.url}/version").json()["service"] == "example"
        assert 'verbatim_build_info{python="3.' in httpx.get(service.metrics_url).text
        records = service.end()
    assert service.process.returncode == 0
    events = [record["event"] for record in records]
    assert "example started" in events
    assert events.index("Shutting down") < events.index("example ended")
    assert records[events.index("example ended")]["failing"] == ["draining"]
    [answered] = [record for record in records if record.get("path") == "/version"]
    assert (answered["service"], answered["status"], answered["level"]) == ("example", 200, "info")
    written = (tmp_path / "example.log").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in written] == records


async def test_an_answer_in_progress_is_finished_before_the_end() -> None:
    with serving() as service:
        async with httpx.AsyncClient() as client:
            answer = asyncio.create_task(client.get(f"{service.url}/slow"))
            line = 'verbatim_http_requests_in_progress{service="example"} 1.0'
            await eventually(lambda: client.get(service.metrics_url), lambda answer: line in answer.text.splitlines())
            records = await asyncio.to_thread(service.end)
            assert (await answer).json() == "done"
    assert service.process.returncode == 0
    events = [record["event"] for record in records]
    assert events.index("request answered") < events.index("example ended")


async def test_websockets_work_through_the_real_server() -> None:
    with serving() as service:
        async with websockets.connect(f"ws://127.0.0.1:{service.port}/echo", proxy=None) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
        records = await asyncio.to_thread(service.end)
    assert [record["status"] for record in records if record["event"] == "websocket closed"] == [101]


async def test_a_client_that_drips_or_never_ends_its_head_is_cut_off_and_others_are_served() -> None:
    async def cut_off(*pieces: bytes, endless: bytes = b"x") -> float:
        """Send the pieces, then more of a head for ever; return after how many seconds the server had enough."""
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        for piece in pieces:
            writer.write(piece)
            if piece.endswith(b"\r\n\r\n"):
                await reader.readuntil(b"}")
        began = asyncio.get_running_loop().time()
        ended = asyncio.create_task(reader.read())
        with contextlib.suppress(ConnectionError):
            while not ended.done():
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionError):
            await ended
        writer.close()
        return asyncio.get_running_loop().time() - began

    whole = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(REQUEST_HEAD_SECONDS="0.5") as service:
        async with (
            asyncio.timeout(30),
            httpx.AsyncClient() as client,
            websockets.connect(f"ws://127.0.0.1:{service.port}/echo", proxy=None) as socket,
        ):
            dripping = [asyncio.create_task(cut_off(b"GET /version HTTP/1.1\r\nX-Long: ")) for _ in range(50)]
            again = asyncio.create_task(cut_off(whole, b"GET /version HTTP/1.1\r\nX-Long: "))
            blank = asyncio.create_task(cut_off(whole, endless=b"\r\n"))
            huge = asyncio.create_task(cut_off(b"GET /version HTTP/1.1\r\nX-Long: ", endless=b"x" * 100_000))
            assert (await client.get(f"{service.url}/version")).status_code == 200
            await asyncio.gather(*dripping, again, blank, huge)
            await socket.send("still here")
            assert await socket.recv() == "still here"
            assert (await client.get(f"{service.url}/version")).status_code == 200


def test_a_start_that_fails_ends_with_an_error() -> None:
    finished = run("serve", **ENVIRONMENT, PORT=str(free_port()), FAIL_AT_START="yes")
    assert finished.returncode not in (0, 2)
    assert "cannot start" in finished.stdout


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_wrong_settings_end_with_sentences_and_code_2(command: str) -> None:
    finished = run(command, PATH=ENVIRONMENT["PATH"], PORT="many")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert "DB_URL is required and not set." in finished.stderr
    assert "Traceback" not in finished.stderr


def test_check_config_prints_the_effective_settings_without_secrets() -> None:
    finished = run("check-config", **ENVIRONMENT, PORT="8123")
    assert finished.returncode == 0
    assert "PORT=8123" in finished.stdout.splitlines()
    assert "API_KEY=**********" in finished.stdout.splitlines()
    assert "DB_URL=postgresql+asyncpg://example:**********@db:5432/verbatim" in finished.stdout.splitlines()
    assert "swordfish" not in finished.stdout


def test_openapi_needs_no_environment_and_is_always_the_same() -> None:
    first, second = (run("openapi", PATH=ENVIRONMENT["PATH"], PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    document = json.loads(first.stdout)
    assert document["info"]["title"] == "Example"
    assert list(document) == sorted(document)
    assert document["paths"].keys() == {"/slow", "/health/live", "/health/ready", "/version"}


def test_migrate_asks_for_the_database_only() -> None:
    finished = run("migrate", PATH=ENVIRONMENT["PATH"])
    assert finished.returncode == 2
    assert finished.stderr.splitlines()[1:] == ["  DB_URL is required and not set."]


def test_a_wrong_command_names_the_right_ones() -> None:
    finished = run("dance", **ENVIRONMENT)
    assert finished.returncode == 2
    for command in ("serve", "migrate", "openapi", "check-config"):
        assert command in finished.stderr
