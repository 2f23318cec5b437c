"""Metrics are answered on a port of their own."""

import socket
import urllib.request
from urllib.error import HTTPError

import pytest
from prometheus_client import Counter

from common import metrics

SEEN = Counter("verbatim_test_seen_total", "Counted by this test.")


def fetch(port: int, **headers: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        text: bytes = response.read()
    return text.decode()


def test_metrics_are_served_until_stopped() -> None:
    SEEN.inc()
    server = metrics.serve(0)
    try:
        metrics.build_info("jobs")
        text = fetch(server.port)
    finally:
        server.stop()
    assert "verbatim_test_seen_total 1.0" in text
    assert 'verbatim_build_info{python="3.' in text
    assert 'service="jobs"' in text
    assert "verbatim_test_seen_created" not in text
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


def test_metrics_with_a_token_are_shown_to_nobody_without_it() -> None:
    SEEN.inc()
    server = metrics.serve(0, token="a token")
    try:
        assert "verbatim_test_seen_total" in fetch(server.port, Authorization="Bearer a token")
        for wrong in ("", "Bearer ", "Bearer a toke", "bearer a token", "Basic a token", "a token", "Bearer \u00e4"):
            with pytest.raises(HTTPError) as refused:
                fetch(server.port, Authorization=wrong)
            assert (refused.value.code, refused.value.headers["www-authenticate"]) == (401, "Bearer")
            assert b"verbatim_" not in refused.value.read()
    finally:
        server.stop()


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert metrics.service_version("jobs") not in ("", "0")
    assert metrics.service_version("nothing like it") == "0"
