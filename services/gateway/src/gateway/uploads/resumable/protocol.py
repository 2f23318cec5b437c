"""The protocol tus 1.0.0: constants and headers."""

import base64
import binascii

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ExtensionNotSupported

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,termination,expiration"
# Headers of extensions that are not supported: concatenation, creation-defer-length.
UNSUPPORTED = ("Upload-Concat", "Upload-Defer-Length")
ALGORITHMS = ("sha1", "sha256", "md5")
PIECE = "application/offset+octet-stream"
PATH = "/files"
_OVERRIDDEN = frozenset({"PATCH", "DELETE"})


def metadata_of(header: str) -> dict[str, bytes]:
    """The pairs of an Upload-Metadata header; raises ValueError."""
    pairs: dict[str, bytes] = {}
    for pair in filter(None, (item.strip() for item in header.split(","))):
        name, _, encoded = pair.partition(" ")
        if name in pairs:
            raise ValueError(f"{name} occurs twice")
        pairs[name] = _decoded(encoded)
    return pairs


def require_supported(headers: Headers) -> None:
    """Raise ExtensionNotSupported if the request needs an extension that is not supported."""
    wanted = [name for name in UNSUPPORTED if name in headers]
    if "upload-checksum" in headers.get("trailer", "").lower():
        wanted.append("Upload-Checksum as a trailer")
    if wanted:
        raise ExtensionNotSupported(f"{wanted[0]} is not supported; the extensions are {EXTENSIONS}.")


def checksum_of(header: str) -> tuple[str, bytes]:
    """Algorithm and digest of an Upload-Checksum header; raises ValueError."""
    algorithm, _, encoded = header.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise ValueError(f"use one of {', '.join(ALGORITHMS)}")
    return algorithm, _decoded(encoded)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


class TusFrame:
    """Adds Tus-Resumable to the answers of uploads, and applies X-HTTP-Method-Override."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (scope["path"] == PATH or scope["path"].startswith(f"{PATH}/")):
            await self._app(scope, receive, send)
            return
        override = Headers(scope=scope).get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and override in _OVERRIDDEN:
            scope["method"] = override

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        await self._app(scope, receive, send_framed)
