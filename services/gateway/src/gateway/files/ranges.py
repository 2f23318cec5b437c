"""Byte ranges (one per request, RFC 9110), validators and HEAD for files."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from common.web.errors import Problem

_ONE_RANGE = re.compile(r"bytes=(?P<first>\d{0,19})-(?P<last>\d{0,19})", re.IGNORECASE)

Opener = Callable[[int, int], AsyncIterator[bytes]]


class RangeNotSatisfiable(Problem):
    """The requested range begins after the end of the file."""

    status, code, title = 416, "range_not_satisfiable", "Range not satisfiable"
    default_headers: ClassVar[Mapping[str, str]] = {"Accept-Ranges": "bytes"}


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a file in bytes."""

    start: int
    length: int


def span_of(header: str | None, size: int) -> Span | None:
    """The range in a Range header; None for the whole file. Raises RangeNotSatisfiable.

    Several ranges and invalid headers are answered with the whole file, as RFC 9110 allows: many ranges in one request
    would let a client multiply the work.
    """
    asked = _ONE_RANGE.fullmatch((header or "").replace(" ", ""))
    if asked is None or not (asked["first"] or asked["last"]):
        return None
    if asked["first"]:
        start = int(asked["first"])
        end = min(int(asked["last"]) + 1, size) if asked["last"] else size
        if asked["last"] and int(asked["last"]) < start:
            return None
    else:
        start, end = max(size - int(asked["last"]), 0), size
    if start >= end:
        raise RangeNotSatisfiable(
            f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        )
    return Span(start, end - start)


def ranged(request: Request, *, size: int, etag: str, headers: Mapping[str, str], opener: Opener) -> Response:
    """The answer to GET or HEAD: whole (200), range (206) or unchanged (304); raises RangeNotSatisfiable.

    `etag` is a strong validator with its quotes; `opener(start, length)` yields the bytes of a range.
    """
    common = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"} | dict(headers)
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers={name: common[name] for name in ("ETag", "Cache-Control")})
    condition = request.headers.get("if-range")
    wanted = request.headers.get("range") if condition is None or condition.strip() == etag else None
    span = span_of(wanted, size)
    status, shown = (200, Span(0, size)) if span is None else (206, span)
    common["Content-Length"] = str(shown.length)
    if span is not None:
        common["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{size}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=common)
    return StreamingResponse(opener(shown.start, shown.length), status, common)


def _matches(header: str | None, etag: str) -> bool:
    """Whether If-None-Match contains the validator, by weak comparison (RFC 9110, 13.1.2)."""
    validators = [one.strip().removeprefix("W/") for one in (header or "").split(",")]
    return etag in validators or "*" in validators
