"""Prometheus metrics on a separate port, not on the port of the API."""

import hmac
import platform
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, disable_created_metrics, generate_latest, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

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


def serve(port: int, host: str = "127.0.0.1", token: str | None = None) -> MetricsServer:
    """Answer GET /metrics on host:port from a thread; port 0 takes a free one. Raises OSError if the port is taken.

    With a token, requests need `Authorization: Bearer <token>`; others get 401.
    """
    # Creation times would double the number of series and are not used. (The function has no annotations.)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    counted: WSGIApplication = make_wsgi_app()
    wanted = None if token is None else f"Bearer {token}".encode()

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        shown = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
        if wanted is None or hmac.compare_digest(shown, wanted):
            return counted(environ, start_response)
        headers = [("WWW-Authenticate", "Bearer"), ("Content-Type", "text/plain; charset=utf-8")]
        start_response("401 Unauthorized", headers)
        return [b"Send METRICS_TOKEN as a bearer token.\n"]

    server = make_server(host, port, guarded, _server_class(host), handler_class=_Quiet)
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return MetricsServer(server.server_port, server, thread)


def _server_class(host: str) -> type[ThreadingWSGIServer]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return type("MetricsWSGIServer", (ThreadingWSGIServer,), {"address_family": family})


class _Quiet(WSGIRequestHandler):
    timeout = 10  # an idle connection must not keep a thread

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Do not log scrapes."""


def exposition() -> tuple[bytes, str]:
    """All metrics of this process in Prometheus' text format, and the media type."""
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
