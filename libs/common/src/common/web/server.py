"""The HTTP server of a process: uvicorn, one worker, with a graceful end."""

import signal
from types import FrameType

import uvicorn
from fastapi import FastAPI

from common import metrics
from common.settings import ServiceSettings

GRACE_SECONDS = 20  # for answers in progress, below the 30 s that orchestrators wait before they kill
KEEP_ALIVE_SECONDS = 30  # longer than our HTTP clients keep idle connections, so that they are the ones to close


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Serve the application on HOST:PORT, and metrics on METRICS_PORT unless it is 0, until SIGTERM or SIGINT.

    A signal makes the service not ready, then answers in progress get up to 20 s, then the lifespan ends.
    Exits with a code other than 0 if the start fails.
    """
    metrics_server = metrics.serve(settings.metrics_port, settings.host) if settings.metrics_port else None
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe about client addresses is each service's own decision
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        _Server(config, app).run()
    finally:
        if metrics_server is not None:
            metrics_server.stop()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Start the end; a second SIGINT ends at once.

        Unlike uvicorn's own it does not raise the signal again afterwards: an orderly end has exit code 0.
        """
        self._app.state.readiness.drain()
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True
