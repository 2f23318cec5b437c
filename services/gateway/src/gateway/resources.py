"""What one gateway process holds while it runs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, WebSocket
from starlette.requests import HTTPConnection

from common.storage import ObjectStore

from .health import Check
from .limits import RateLimit
from .logstream import LogStream
from .pages import WebPage
from .resumable.service import ResumableUploads
from .settings import Settings
from .uploads import UploadLimits
from .upstreams import Upstreams


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything the routes work with."""

    settings: Settings
    version: str
    upstreams: Upstreams
    store: ObjectStore
    logs: LogStream
    logins: RateLimit
    uploads: UploadLimits
    health_checks: dict[str, Check]
    page: WebPage | None
    resumable: ResumableUploads


def _resources(connection: HTTPConnection) -> Resources:
    held: Resources = connection.app.state.resources
    return held


def of_request(request: Request) -> Resources:
    """The process's resources, for a route."""
    return _resources(request)


def of_socket(socket: WebSocket) -> Resources:
    """The process's resources, for a WebSocket."""
    return _resources(socket)


ResourcesDep = Annotated[Resources, Depends(of_request)]
SocketResourcesDep = Annotated[Resources, Depends(of_socket)]
