"""Requests that are no mistake: names that climb, fields without end, clients that drip; and nobody else waits."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from native.fleet import Fleet
from support.forms import BOUNDARY, END, FORM, part
from support.people import SignUp
from support.platform_client import PlatformClient
from support.recordings import RATE, encoded, speech

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def recording() -> bytes:
    return encoded(speech()[: 3 * RATE], "wav", "pcm_s16le")


@pytest.fixture(scope="module")
def mallory(sign_up: SignUp) -> PlatformClient:
    """An ordinary user of ill will."""
    return sign_up("mallory")


def memory_of(fleet: Fleet, name: str) -> int:
    """What a program has resident, in bytes."""
    mark = f"INSTANCE={name}".encode()
    state = str(fleet.state.path).encode()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            if mark in environment.split(b"\0") and state in environment:
                lines = (entry / "status").read_text().splitlines()
                return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
    raise AssertionError(f"{name} does not run")


def _part_of_semicolons() -> bytes:
    """Its head took the square of its length to read."""
    return part('model"; x="' + ";" * 4000, b"base")


def refused(answer: httpx.Response, *codes: str) -> None:
    """It is a problem in words, with one of these codes."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text[:300]
    assert answer.json()["code"] in codes, answer.text[:300]
    assert len(answer.text) < 20_000


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../../etc/passwd", "passwd"),
        ("/etc/shadow", "shadow"),
        ("..\\..\\windows\\system32\\config", "config"),
        ("....//....//x.wav", "x.wav"),
        ("invoice\u202egnp.wav", "invoicegnp.wav"),
        ("a\r\nSet-Cookie: b=c.wav", "a Set-Cookie: b=c.wav"),
        ("n" * 4096 + ".wav", "n" * 196 + ".wav"),
        ("..", "recording"),
        ("%2e%2e%2fx.wav", "%2e%2e%2fx.wav"),
        ("'; DROP TABLE jobs; --.wav", "'; DROP TABLE jobs; --.wav"),
        ("<script>alert(1)</script>.wav", "script>.wav"),
        ("$(touch pwned).wav", "$(touch pwned).wav"),
    ],
)
def test_name_is_only_ever_shown(mallory: PlatformClient, recording: bytes, sent: str, shown: str) -> None:
    quoted = sent.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    answer = mallory.http.post("/jobs", content=part("file", recording, quoted) + END, headers=FORM)
    assert answer.status_code == 201, answer.text
    job = mallory.finished(answer.json()["id"])
    assert job["state"] == "completed"
    assert job["file_name"] in (shown, quoted.replace("\\", "/").rpartition("/")[2])
    download = mallory.http.get(f"/jobs/{job['id']}/download", params={"format": "txt"})
    assert download.status_code == 200
    assert "\n" not in download.headers["content-disposition"]
    assert "set-cookie" not in download.headers


def test_name_with_nul_is_refused_or_loses_it(mallory: PlatformClient, recording: bytes) -> None:
    answer = mallory.http.post("/jobs", content=part("file", recording, "a\0b.wav") + END, headers=FORM)
    if answer.status_code == 201:
        assert "\0" not in answer.json()["file_name"]
    else:
        refused(answer, "bad_upload", "invalid_form", "invalid_request")


def test_path_that_climbs_reaches_nothing(mallory: PlatformClient) -> None:
    for path in ("/static/../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/app/%2e%2e/%2e%2e/etc/passwd"):
        answer = mallory.http.get(path)
        # The page answers for every address below /app with itself.
        assert answer.status_code in (400, 404) or "<!doctype html>" in answer.text.lower(), path
        assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a prompt of a megabyte", lambda recording: part("initial_prompt", b"x" * MIB) + part("file", recording, "a")),
        ("five thousand unknown fields", lambda _: b"".join(part(f"f{n}", b"x") for n in range(5000))),
        ("a field five thousand times", lambda _: b"".join(part("model", b"base") for _ in range(5000))),
        ("ten thousand tags", lambda recording: part("tags", b"t," * 10_000) + part("file", recording, "a")),
        ("tags of megabytes", lambda _: b"".join(part("tags", b"x" * 16_000) for _ in range(2000))),
        ("a thousand files", lambda recording: b"".join(part("file", b"x", f"{n}.wav") for n in range(1000))),
        ("a language of a kilobyte", lambda recording: part("language", b"e" * 1024) + part("file", recording, "a")),
        ("a head without end", lambda _: f"\r\n--{BOUNDARY}\r\nX-Long: ".encode() + b"x" * MIB),
        ("two hundred heads of semicolons", lambda _: _part_of_semicolons() * 200),
        ("a recording of delimiters", lambda _: part("file", f"\r\n--{BOUNDARY}x".encode() * 50_000, "a")),
        ("ten thousand heads", lambda _: f"\r\n--{BOUNDARY}\r\n".encode() + b"X-A: b\r\n" * 10_000),
    ],
)
def test_form_of_exaggerations_is_refused(
    quick_fleet: Fleet, mallory: PlatformClient, recording: bytes, name: str, body: Any
) -> None:
    before = memory_of(quick_fleet, "gateway")
    content: bytes = body(recording) + END
    answer = mallory.http.post(
        "/jobs", content=(content[at : at + 65_536] for at in range(0, len(content), 65_536)), headers=FORM
    )
    assert 400 <= answer.status_code < 500, f"{name}: {answer.text[:300]}"
    refused(answer, "bad_upload", "invalid_form", "invalid_request", "upload_too_large")
    assert memory_of(quick_fleet, "gateway") - before < 64 * MIB


def test_exaggerated_json_is_refused(mallory: PlatformClient, recording: bytes) -> None:
    job = mallory.submit("a.wav", recording)
    mallory.finished(job)
    for body in ({"initial_prompt": "x" * 500_000}, {"model": "m" * 100_000}, {"language": ["e"] * 10_000}):
        refused(mallory.http.post(f"/jobs/{job}/restart", json=body), "invalid_request")
    deep = "[" * 100_000 + "]" * 100_000
    answer = mallory.http.post(f"/jobs/{job}/restart", content=deep, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text[:200]
    refused(mallory.http.get("/jobs", params={"q": "x" * 20_000}), "invalid_request")
    assert mallory.http.get("/jobs", params={"q": "(" * 200}).status_code in (200, 422)


async def test_clients_that_drip_cost_little_and_others_are_served(
    quick_fleet: Fleet, mallory: PlatformClient, recording: bytes
) -> None:
    address = httpx.URL(quick_fleet.url("gateway"))
    before = memory_of(quick_fleet, "gateway")
    head = (
        f"POST /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {mallory.token}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 100000000\r\n\r\n"
    ).encode()
    writers = []
    for _ in range(100):
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(head + part("file", b"x" * 1000, "drip.wav"))
        writers.append(writer)
    job = await asyncio.to_thread(mallory.submit, "quick.wav", recording)
    assert (await asyncio.to_thread(mallory.finished, job, 60))["state"] == "completed"
    assert memory_of(quick_fleet, "gateway") - before < 150 * MIB
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("name", ["User-Agent", "Accept", "Accept-Language", "Content-Type", "If-None-Match", "Range"])
async def test_headers_that_are_not_ascii_hurt_nobody(quick_fleet: Fleet, mallory: PlatformClient, name: str) -> None:
    odd = {name.encode(): b"\xff"}
    async with httpx.AsyncClient(base_url=quick_fleet.url("gateway"), trust_env=False, timeout=60) as client:
        assert (await client.get("/health", headers=odd)).status_code == 200
        assert (await client.get("/.well-known/jwks.json", headers=odd)).status_code == 200
        signed = odd | {b"Authorization": f"Bearer {mallory.token}".encode()}
        assert (await client.get("/me", headers=signed)).status_code == 200
        assert (await client.get("/me", headers={b"Authorization": b"Bearer \xe9"})).status_code == 401
