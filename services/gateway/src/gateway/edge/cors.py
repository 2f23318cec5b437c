"""CORS: what pages of the origins in CORS_ORIGINS may send and read."""

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
    # Ranges of a recording or transcript, and conditional requests.
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


def allow(app: FastAPI, origins: Sequence[str]) -> None:
    """Allow requests from pages of these origins.

    Never with browser credentials: a page must set the token in a header, so an allowed origin can do only what its
    token permits.
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
