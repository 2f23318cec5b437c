"""Prometheus metrics on a port of their own, away from the port that users reach."""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, disable_created_metrics, generate_latest, start_http_server

BUILD = Gauge("verbatim_build_info", "What is running: always 1.", ["service", "version", "python"])


@dataclass(frozen=True)
class MetricsServer:
    """A running metrics server."""

    port: int
    _server: WSGIServer
    _thread: Thread

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve(port: int, host: str = "127.0.0.1") -> MetricsServer:
    """Answer GET /metrics on host:port from a thread; port 0 takes a free one. Raises OSError if the port is taken."""
    # Creation times would double the number of series for nobody. (The function has no annotations.)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    server, thread = start_http_server(port, addr=host)
    return MetricsServer(server.server_port, server, thread)


def exposition() -> tuple[bytes, str]:
    """Everything that this process counts, as Prometheus reads it, and its media type."""
    return generate_latest(), CONTENT_TYPE_LATEST


def service_version(service: str) -> str:
    """The installed version of a service's distribution, "0" when it is not installed."""
    try:
        return version(f"verbatim-{service}")
    except PackageNotFoundError:
        return "0"


def build_info(service: str) -> None:
    """Publish the service's name, version and Python as `verbatim_build_info`."""
    BUILD.labels(service, service_version(service), platform.python_version()).set(1)
