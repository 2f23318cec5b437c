"""The HTTP server of a process: uvicorn, one worker, with a graceful end."""

import resource
import signal
from types import FrameType

import uvicorn
from fastapi import FastAPI

from common import metrics
from common.settings import ServiceSettings

from .timeouts import protocol_with_timeouts

GRACE_SECONDS = 20  # for answers in progress, below the 30 s that orchestrators wait before they kill
# WebSockets carry short text to many viewers: compression costs more than it saves. Clients send little.
SOCKET_MESSAGE_BYTES = 16 * 1024
# A finite limit: some programs close every possible descriptor, as child processes do on old kernels.
MOST_DESCRIPTORS = 2**20
KEEP_ALIVE_SECONDS = 30  # longer than our HTTP clients, so that the client closes idle connections

# Exit codes after an administrator's request; supervisors decide by them.
EXIT_SHUTDOWN = 0  # stay down
EXIT_RESTART = 75  # start again: EX_TEMPFAIL of sysexits.h


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Serve the application on HOST:PORT, and metrics on METRICS_PORT unless it is 0, until SIGTERM or SIGINT.

    A signal makes the service not ready, then answers in progress get up to 20 s, then the lifespan ends.
    Exits with a code other than 0 if the start fails, and with the one given to `end`.
    """
    raise_descriptor_limit()
    token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    metrics_server = metrics.serve(settings.metrics_port, settings.host, token) if settings.metrics_port else None
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_with_timeouts(settings.request_head_seconds, settings.answer_stall_seconds),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # each service decides which proxies it trusts
        ws_per_message_deflate=False,
        ws_max_size=SOCKET_MESSAGE_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, app)
    try:
        server.run()
    finally:
        if metrics_server is not None:
            metrics_server.stop()
    if server.exit_code:
        raise SystemExit(server.exit_code)


def raise_descriptor_limit() -> None:
    """Raise the limit of open files and connections to what the system allows.

    The soft limit is often 1,024, for programs that use select(); each stream needs one or two descriptors.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def end(app: FastAPI, exit_code: int) -> None:
    """End the process that serves the application, as a signal does, with this exit code.

    An application without this server, as in a test, only becomes not ready.
    """
    app.state.readiness.drain()
    server: _Server | None = getattr(app.state, "server", None)
    if server is not None:
        server.exit_code = exit_code
        server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self.exit_code = 0
        app.state.server = self

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Begin the shutdown; a second SIGINT forces it.

        Unlike uvicorn's method it does not raise the signal again: an orderly shutdown has exit code 0.
        """
        self._app.state.readiness.drain()
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True
