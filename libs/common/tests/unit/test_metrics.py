"""Metrics are answered on a port of their own."""

import socket
import urllib.request

from prometheus_client import Counter

from common import metrics

SEEN = Counter("verbatim_test_seen_total", "Counted by this test.")


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
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


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert metrics.service_version("jobs") not in ("", "0")
    assert metrics.service_version("nothing like it") == "0"
