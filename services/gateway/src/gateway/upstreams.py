"""The services behind the gateway: one client for each, asked with the user's own token."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import structlog
from fastapi import Request, Response
from starlette.requests import HTTPConnection

from common import context
from common.web.addresses import client_address
from common.web.errors import MEDIA_TYPE

from .errors import BadUpstreamAnswer, BodyTooLarge, ServiceUnavailable
from .settings import Settings

log = structlog.get_logger(__name__)

# Lists of what passes, not of what is stripped: hop-by-hop headers, X-Forwarded-User and whatever a client invents to
# impersonate somebody inside never get through.
REQUEST_HEADERS = ("accept", "accept-language", "content-type", "authorization")
RESPONSE_HEADERS = ("content-type", "cache-control", "etag", "retry-after", "www-authenticate", "location", "allow")

# Only uploads are large, and they do not come this way.
MAX_BODY = 64 * 1024
CONNECT_SECONDS = 2.0
# Shorter than the services keep an idle connection, or a request could meet the closing door.
KEEPALIVE_SECONDS = 10.0


class Refusal(Exception):
    """A service answered with a problem of its own, which goes to the caller as it is."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code} from {response.url.path}")
        self.response = response


class Upstream:
    """One service; connection trouble becomes ServiceUnavailable, answers that are no JSON BadUpstreamAnswer."""

    def __init__(self, name: str, base_url: str, timeout: float) -> None:
        self.name = name
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            # A proxy named in the environment is for the outside world, not for the services next door.
            trust_env=False,
            transport=httpx.AsyncHTTPTransport(
                retries=1,
                limits=httpx.Limits(
                    max_connections=200, max_keepalive_connections=20, keepalive_expiry=KEEPALIVE_SECONDS
                ),
            ),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(
        self,
        caller: HTTPConnection,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        json: Any = None,
        content: bytes | None = None,
        token: str | None = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        """Send a request on behalf of the caller; `token` speaks for callers that sent theirs in another way.

        Raises ServiceUnavailable (`sent` tells whether the service may have seen the request) or BadUpstreamAnswer.
        """
        headers = {name: value for name in REQUEST_HEADERS if (value := caller.headers.get(name)) is not None}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if json is not None:
            headers["content-type"] = "application/json"
        try:
            response = await self._client.request(
                method,
                path,
                params=list(params),
                json=json,
                content=content,
                headers=headers | _passed_on(caller),
                timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
            )
        except httpx.HTTPError as error:
            sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            log.warning("service does not answer", upstream=self.name, error=repr(error), sent=sent)
            reason = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
            raise ServiceUnavailable(
                f"The {self.name} service {reason}; try again in a moment.", upstream=self.name, sent=sent
            ) from error
        return self._checked(response)

    async def relay(self, request: Request, path: str, *, params: Sequence[tuple[str, str]] = ()) -> Response:
        """Pass the caller's request on and the service's answer back, status and body untouched."""
        content = await _small_body(request)
        return relayed(await self.send(request, request.method, path, params=params, content=content))

    async def ask(
        self, caller: HTTPConnection, path: str, *, params: Sequence[tuple[str, str]] = (), token: str | None = None
    ) -> Any:
        """GET a JSON document on behalf of the caller; raises Refusal with the service's problem."""
        response = await self.send(caller, "GET", path, params=params, token=token)
        if response.is_error:
            raise Refusal(response)
        return response.json()

    def _checked(self, response: httpx.Response) -> httpx.Response:
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        empty = response.status_code == HTTPStatus.NO_CONTENT
        expected = kind == MEDIA_TYPE if response.is_error else kind == "application/json"
        if not (empty or expected) or 300 <= response.status_code < 400:
            log.error("service gave an unusable answer", upstream=self.name, status=response.status_code, kind=kind)
            raise BadUpstreamAnswer(f"The {self.name} service gave an unusable answer.", upstream=self.name)
        return response


def relayed(response: httpx.Response) -> Response:
    """A service's answer as the gateway's own."""
    headers = {name: value for name in RESPONSE_HEADERS if (value := response.headers.get(name)) is not None}
    return Response(response.content, response.status_code, headers)


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Every service behind the gateway."""

    auth: Upstream
    jobs: Upstream
    metadata: Upstream
    cleanup: Upstream

    @classmethod
    def connect(cls, settings: Settings) -> "Upstreams":
        """Make the clients; nothing connects before the first request."""
        patience = settings.upstream_timeout
        return cls(
            auth=Upstream("auth", settings.auth_url, patience),
            jobs=Upstream("jobs", settings.jobs_url, patience),
            metadata=Upstream("metadata", settings.metadata_url, patience),
            cleanup=Upstream("cleanup", settings.cleanup_url, patience),
        )

    def all(self) -> tuple[Upstream, ...]:
        """The clients, in a fixed order."""
        return (self.auth, self.jobs, self.metadata, self.cleanup)

    async def close(self) -> None:
        """Close every client."""
        for upstream in self.all():
            await upstream.close()


def _passed_on(caller: HTTPConnection) -> dict[str, str]:
    """What identifies the request across processes, and the address it came from as we believe it."""
    headers = {"traceparent": context.child_traceparent(context.traceparent())}
    headers["x-request-id"] = caller.state.request_id
    if correlation_id := context.correlation_id():
        headers["x-correlation-id"] = correlation_id
    headers["x-forwarded-for"] = client_address(caller)
    return headers


async def _small_body(request: Request) -> bytes | None:
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > MAX_BODY:
            raise BodyTooLarge(f"The request's body is larger than {MAX_BODY} bytes.")
    return body or None
