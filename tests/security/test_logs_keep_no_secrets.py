"""What clients put into addresses and headers by mistake, tokens above all, is in no log of any service."""

import contextlib
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from native.fleet import Fleet
from support.platform_client import PlatformClient
from support.recordings import RATE, encoded, speech

pytestmark = pytest.mark.e2e


def texts(folder: Path) -> dict[str, str]:
    """Everything that the fleet's programs wrote to log files."""
    return {
        str(path.relative_to(folder)): path.read_text(errors="replace")
        for path in folder.rglob("*")
        if path.is_file() and (path.suffix == ".log" or ".log." in path.name)
    }


def test_a_token_in_an_address_is_not_logged(quick_fleet: Fleet) -> None:
    canary, mark = f"canary{uuid4().hex}", f"mark{uuid4().hex}"
    admin = PlatformClient(quick_fleet.url("gateway"), *quick_fleet.credentials)
    job = admin.submit("canary.wav", encoded(speech()[: 2 * RATE], "wav", "pcm_s16le"))
    admin.finished(job)
    sockets = admin.url.replace("http", "ws", 1)
    bearer = {"Authorization": f"Bearer {admin.token}", "X-Request-ID": mark}
    query = f"?token={canary}&access_token={canary}"
    with connect(f"{sockets}/ws/logs/{job}{query}", additional_headers=bearer) as socket:
        socket.recv(timeout=30)
    for path in (f"/ws/logs/{job}", "/ws/logs/system", "/ws/nowhere"):
        for headers in ({}, {"Authorization": f"Bearer {canary}"}, {"X-API-Key": f"vk_{canary}"}):
            with contextlib.suppress(InvalidStatus), connect(sockets + path + query, additional_headers=headers):
                pass
        with contextlib.suppress(InvalidStatus), connect(sockets + path + query, subprotocols=[f"bearer.{canary}"]):  # type: ignore[list-item]
            pass
    for path in ("/jobs", f"/jobs/{job}", f"/jobs/{job}/events", f"/jobs/{job}/download", "/nowhere", "/health"):
        admin.http.get(path + query)
        httpx.get(admin.url + path + query, headers={"Authorization": f"Bearer {canary}"})
    httpx.post(f"{admin.url}/token{query}", data={"username": "admin", "password": canary})
    httpx.post(f"{admin.url}/token/refresh{query}", json={"refresh_token": canary})

    logged = texts(quick_fleet.state.path)
    assert any(mark in text for text in logged.values()), "the logs are somewhere else"
    assert [name for name, text in logged.items() if canary in text] == []
    assert canary not in admin.http.get("/logs/system").text
    assert canary not in admin.http.get("/logs/access").text
    admin.close()
