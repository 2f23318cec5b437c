"""Dependencies of the routes: the objects of this process."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from common.storage import ObjectStore
from common.web import Identity
from common.web.identity import limited_identity
from gateway.edge.connections import OpenConnections
from gateway.edge.limits import RateLimit
from gateway.files.pages import WebPage
from gateway.logs.stream import LogStream
from gateway.relay.health import HealthReport
from gateway.relay.upstreams import Upstreams
from gateway.uploads.acceptance import UploadLimits
from gateway.uploads.resumable.service import ResumableUploads


@dataclass(frozen=True, slots=True)
class Resources:
    upstreams: Upstreams
    store: ObjectStore
    logs: LogStream
    logins: RateLimit
    streams: OpenConnections
    sending: OpenConnections
    uploads: UploadLimits
    health: HealthReport
    page: WebPage | None
    resumable: ResumableUploads


def _resources(connection: HTTPConnection) -> Resources:
    resources: Resources = connection.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(_resources)]


async def _upload(
    identity: Annotated[Identity, Depends(limited_identity)], resources: ResourcesDep
) -> AsyncIterator[None]:
    with resources.sending.hold(identity):
        yield


async def _stream(
    identity: Annotated[Identity, Depends(limited_identity)], resources: ResourcesDep
) -> AsyncIterator[None]:
    with resources.streams.hold(identity):
        yield


#: For routes with a long request or answer: counted until the end of the answer.
COUNTED_UPLOAD, COUNTED_STREAM = Depends(_upload), Depends(_stream)
