"""HTTP clients for the services behind the gateway."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import structlog
from fastapi import Request, Response
from starlette.requests import HTTPConnection
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from common import context
from common.web.addresses import INTERNAL_HEADER, client_address
from common.web.errors import MEDIA_TYPE, NotFound
from gateway.errors import BadUpstreamAnswer, BodyTooLarge, BodyTooSlow, ServiceUnavailable
from gateway.settings import Settings

from .surface import Operation

log = structlog.get_logger(__name__)

# Allowed headers, not removed ones: hop-by-hop headers, X-Forwarded-User and anything that a client invents to
# impersonate another user are not forwarded. Headers that an operation's document names are forwarded as well.
REQUEST_HEADERS = ("accept", "accept-language", "content-type", "authorization", "user-agent")
CONDITIONS = ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
RESPONSE_HEADERS = (
    *("content-type", "cache-control", "etag", "retry-after", "www-authenticate", "location", "allow"),
    *("content-disposition", "content-range", "accept-ranges", "last-modified"),
)

# Only uploads are larger, and they are not relayed.
MAX_BODY = 1024 * 1024
BODY_SECONDS = 30.0
MAX_CONNECTIONS = 2000
CONNECT_SECONDS = 2.0
# Shorter than the services keep an idle connection, or a request could be sent on a connection that is closing.
KEEPALIVE_SECONDS = 10.0

_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Refusal(Exception):
    """A service answered with a problem, which is passed on to the caller unchanged."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code} from {response.url.path}")
        self.response = response


class Upstream:
    """The client of one service; connection errors become ServiceUnavailable, invalid answers BadUpstreamAnswer."""

    def __init__(self, name: str, base_url: str, timeout: float, secret: str | None = None) -> None:
        """`secret` is INTERNAL_TOKEN, for the services that authenticate the gateway by it."""
        self.name = name
        self._client = _client(base_url, timeout, MAX_CONNECTIONS, secret)
        # A separate client, so that streams do not use the connections of requests. Streams are limited per user by the
        # gateway and in total by the service, which answers with an error; a full pool would only delay them.
        self._streams = _client(base_url, timeout, None, secret)

    async def close(self) -> None:
        await self._client.aclose()
        await self._streams.aclose()

    async def send(
        self,
        caller: HTTPConnection,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        json: Any = None,
        content: bytes | None = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        """Send a request on behalf of the caller, with the caller's token.

        Raises ServiceUnavailable (`sent` is true if the service may have received the request) or BadUpstreamAnswer.
        """
        headers = _headers(caller, REQUEST_HEADERS)
        if json is not None:
            headers["content-type"] = "application/json"
        request = self._client.build_request(
            method,
            path,
            params=list(params),
            json=json,
            content=content,
            headers=headers,
            timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
        )
        response = await self._send(request, self._client)
        return self._checked(response, {"application/json"})

    async def relay(self, caller: Request, operation: Operation) -> Response:
        """Forward the caller's request and the service's answer, both as streams.

        Only what the operation's document names is forwarded: its query parameters and headers, a body of at most
        MAX_BODY bytes if it has one, and answers of its media types.
        """
        names = (*REQUEST_HEADERS, *CONDITIONS, *operation.parameters("header"))
        known = operation.parameters("query")
        request = self._client.build_request(
            operation.method,
            _path(operation, caller.path_params),
            params=[(name, value) for name, value in caller.query_params.multi_items() if name in known],
            content=_limited(caller.stream()) if operation.takes_body else None,
            headers=_headers(caller, names) | _declared_length(caller, operation),
        )
        response = await self._send(request, self._streams if operation.is_stream else self._client, stream=True)
        try:
            self._checked(response, operation.media_types)
        except BaseException:
            await response.aclose()
            raise
        return RelayedAnswer(response)

    async def ask(self, caller: HTTPConnection, path: str, *, params: Sequence[tuple[str, str]] = ()) -> Any:
        """GET a JSON document on behalf of the caller; raises Refusal with the service's problem."""
        response = await self.send(caller, "GET", path, params=params)
        if response.is_error:
            raise Refusal(response)
        return response.json()

    async def call(self, method: str, path: str, *, json: Any = None, timeout: float) -> httpx.Response:
        """Send a request of the gateway itself, without a user's token; raises as `send` does."""
        headers = {"traceparent": context.child_traceparent(context.traceparent())}
        if correlation_id := context.correlation_id():
            headers["x-correlation-id"] = correlation_id
        request = self._client.build_request(method, path, json=json, headers=headers, timeout=timeout)
        return self._checked(await self._send(request, self._client), {"application/json"})

    async def _send(self, request: httpx.Request, client: httpx.AsyncClient, *, stream: bool = False) -> httpx.Response:
        try:
            return await client.send(request, stream=stream)
        except httpx.HTTPError as error:
            sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            log.warning("service unavailable", upstream=self.name, error=repr(error), sent=sent)
            reason = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
            raise ServiceUnavailable(
                f"The {self.name} service {reason}; try again in a moment.", upstream=self.name, sent=sent
            ) from error

    def _checked(self, response: httpx.Response, kinds: Collection[str]) -> httpx.Response:
        """The response, if it is valid: one of the media types, a problem, or empty; raises BadUpstreamAnswer."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        empty = response.status_code in _BODILESS or response.headers.get("content-length") == "0"
        if response.is_error:
            usable = empty or kind == MEDIA_TYPE
        elif response.is_success:
            usable = empty or any(fnmatchcase(kind, pattern) for pattern in kinds)
        else:
            usable = response.status_code == HTTPStatus.NOT_MODIFIED
        if not usable:
            log.error("invalid answer from service", upstream=self.name, status=response.status_code, kind=kind)
            raise BadUpstreamAnswer(f"The answer of the {self.name} service is invalid.", upstream=self.name)
        return response


def _client(base_url: str, timeout: float, max_connections: int | None, secret: str | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url.rstrip("/"),
        headers=None if secret is None else {INTERNAL_HEADER: secret},
        timeout=httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
        # A proxy named in the environment is for external addresses, not for the services.
        trust_env=False,
        transport=httpx.AsyncHTTPTransport(
            retries=1,
            limits=httpx.Limits(
                max_connections=max_connections, max_keepalive_connections=20, keepalive_expiry=KEEPALIVE_SECONDS
            ),
        ),
    )


class RelayedAnswer(StreamingResponse):
    """A service's answer, streamed to the caller; its connection is released however the answer ends."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.aiter_raw(), response.status_code, _answer_headers(response))
        self._response = response
        if (length := response.headers.get("content-length")) is not None:
            self.headers["content-length"] = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._response.aclose()


def relayed(response: httpx.Response) -> Response:
    """A service's answer as the gateway's own."""
    return Response(response.content, response.status_code, _answer_headers(response))


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The clients of all services."""

    auth: Upstream
    jobs: Upstream
    metadata: Upstream
    cleanup: Upstream

    @classmethod
    def connect(cls, settings: Settings) -> "Upstreams":
        """Create the clients; they connect at the first request."""
        timeout, secret = settings.upstream_timeout, settings.internal_token.get_secret_value()
        return cls(
            auth=Upstream("auth", settings.auth_url, timeout, secret),
            jobs=Upstream("jobs", settings.jobs_url, timeout, secret),
            metadata=Upstream("metadata", settings.metadata_url, timeout),
            cleanup=Upstream("cleanup", settings.cleanup_url, timeout),
        )

    def of(self, service: str) -> Upstream:
        """The client of a service by its name."""
        return next(upstream for upstream in self.all() if upstream.name == service)

    def all(self) -> tuple[Upstream, ...]:
        """The clients, in a fixed order."""
        return (self.auth, self.jobs, self.metadata, self.cleanup)

    async def close(self) -> None:
        for upstream in self.all():
            await upstream.close()


def _headers(caller: HTTPConnection, names: Iterable[str]) -> dict[str, str]:
    """The caller's headers of these names, the request's ids and the caller's address.

    Values that are not ASCII are left out: no header of an operation needs them.
    """
    values = {name.lower(): caller.headers.get(name) for name in names}
    headers = {name: value for name, value in values.items() if value is not None and value.isascii()}
    headers["traceparent"] = context.child_traceparent(context.traceparent())
    headers["x-request-id"] = caller.state.request_id
    if correlation_id := context.correlation_id():
        headers["x-correlation-id"] = correlation_id
    headers["x-forwarded-for"] = client_address(caller)
    return headers


def _answer_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name in RESPONSE_HEADERS if (value := response.headers.get(name)) is not None}


def _path(operation: Operation, parameters: Mapping[str, Any]) -> str:
    """The operation's path with these parameters; raises NotFound for path segments that leave it."""
    path = operation.path
    for name, value in parameters.items():
        if {".", ".."} & set(str(value).split("/")):
            raise NotFound("There is nothing at this address.")
        path = path.replace(f"{{{name}}}", quote(str(value), safe="/"))
    return path


def _declared_length(caller: Request, operation: Operation) -> dict[str, str]:
    """The Content-Length of the body, so that it is not sent in chunks."""
    length = caller.headers.get("content-length")
    if length is None or not operation.takes_body:
        return {}
    if int(length) > MAX_BODY:
        raise _too_large()
    return {"content-length": length}


async def _limited(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size, ends = 0, time.monotonic() + BODY_SECONDS
    while True:
        try:
            async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                block = await anext(blocks, None)
        except TimeoutError as error:
            raise BodyTooSlow(f"The request body did not arrive within {BODY_SECONDS:g} seconds.") from error
        if block is None:
            return
        size += len(block)
        if size > MAX_BODY:
            raise _too_large()
        yield block


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {MAX_BODY} bytes.")
