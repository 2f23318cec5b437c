"""What web pages of other origins may send and read, where CORS_ORIGINS lets them in."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SENT = (
    "Authorization",
    "X-API-Key",
    "Content-Type",
    "X-Request-ID",
    "traceparent",
    "Idempotency-Key",
    "Last-Event-ID",
    # Pieces of a recording or transcript, and only if it has changed.
    "Range",
    "If-Range",
    "If-None-Match",
    # Resumable uploads.
    "Tus-Resumable",
    "Upload-Length",
    "Upload-Offset",
    "Upload-Metadata",
    "Upload-Checksum",
    "X-HTTP-Method-Override",
)
READ = (
    "Content-Disposition",
    "Content-Range",
    "Accept-Ranges",
    "ETag",
    "X-Request-ID",
    "Retry-After",
    "Location",
    "WWW-Authenticate",
    # Resumable uploads.
    "Tus-Resumable",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Checksum-Algorithm",
    "Upload-Offset",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Expires",
    "X-Verbatim-Job",
)


def let_in(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins in.

    Never with credentials: tokens travel in a header that pages must set on purpose, so a foreign origin that is
    allowed in gets no farther than the token it holds.
    """
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_credentials=False,
        allow_methods=METHODS,
        allow_headers=SENT,
        expose_headers=READ,
        max_age=600,
    )
