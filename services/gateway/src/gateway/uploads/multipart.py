"""A streaming reader of multipart/form-data that keeps at most one block in memory."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.errors import BadUpload

from .file_names import disposition_parameters

# More than the parts of a form with MAX_FILES recordings and all option fields.
MAX_PARTS = 64
# Enough for a name of 255 characters of three bytes each, in two encodings.
HEAD_BYTES = 4608
HEAD_LINES = 8
# A client that sends less than this within the idle timeout only occupies a connection.
DRIP_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Part:
    """The head of a part; `file_name` is None for a plain field."""

    name: str | None
    file_name: str | None
    content_type: str | None


class _PartEnd:
    """An event: the end of a part."""


class FormReader:
    """The parts of one request body, in the order in which the client sends them.

    `async for part in reader` yields heads; `reader.data()` then yields the bytes of the current part. Unread bytes of
    a part are skipped. The body is only read when bytes are requested, so a slow reader slows the client down.
    Raises BadUpload for a body that does not match its content type, or has more parts or longer heads than a valid
    form. This limits the work for everything but the bytes of the recordings.
    """

    def __init__(self, content_type: str | None, body: AsyncIterator[bytes]) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise BadUpload("Send the recording as multipart/form-data with a boundary.")
        self._delimiter = b"\r\n--" + boundary
        self._delimiters = 0
        self._parts = 0
        self._head_bytes = 0
        self._events: deque[Part | _PartEnd | bytes] = deque()
        self._headers: dict[str, bytes] = {}
        self._header_name = b""
        self._header_value = b""
        self._complete = False
        self._body = body
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
                max_header_count=HEAD_LINES,
                max_header_size=HEAD_BYTES,
            )
        except FormParserError as error:
            raise BadUpload(f"The boundary of the form is not valid: {error}.") from error

    def __aiter__(self) -> "FormReader":
        return self

    async def __anext__(self) -> Part:
        while (event := await self._next()) is not None:
            if isinstance(event, Part):
                return event
        raise StopAsyncIteration

    async def data(self) -> AsyncIterator[bytes]:
        """The bytes of the current part, as they arrive."""
        while isinstance(event := await self._next(), bytes):
            yield event

    async def _next(self) -> Part | _PartEnd | bytes | None:
        while not self._events:
            block = await anext(self._body, None)
            if block is None:
                if not self._complete:
                    raise BadUpload("The form is incomplete: the upload was interrupted.")
                return None
            # Delimiters inside a part are slow to parse, so they count as parts.
            self._delimiters += block.count(self._delimiter)
            if self._delimiters > MAX_PARTS:
                raise _too_many_parts()
            try:
                self._parser.write(block)
            except FormParserError as error:
                raise BadUpload(f"The form is not valid: {error}.") from error
        return self._events.popleft()

    def _on_part_begin(self) -> None:
        self._headers.clear()
        self._head_bytes = 0
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _too_many_parts()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._head_bytes += len(self._header_name) + len(self._header_value)
        if self._head_bytes > HEAD_BYTES:
            raise BadUpload(f"The head of a part is longer than {HEAD_BYTES} bytes.")
        self._headers[self._header_name.decode("latin-1").lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        name, file_name = disposition_parameters(self._headers.get("content-disposition", b""))
        content_type = self._headers.get("content-type")
        self._events.append(Part(name, file_name, content_type.decode("latin-1") if content_type else None))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(_PartEnd())

    def _on_end(self) -> None:
        self._complete = True


def _too_many_parts() -> BadUpload:
    return BadUpload(f"The form has more than {MAX_PARTS} parts.")


async def with_idle_timeout(body: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """The same blocks; raises BadUpload if fewer than DRIP_BYTES arrive within the timeout.

    Only the time of waiting for the client counts, not that of storing the bytes.
    """
    waited, received = 0.0, 0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, seconds - waited)):
                block = await anext(body, None)
        except TimeoutError as error:
            raise BadUpload(f"Less than {DRIP_BYTES} bytes arrived within {seconds:g} seconds.") from error
        if block is None:
            return
        waited += time.monotonic() - began
        received += len(block)
        if received >= DRIP_BYTES:
            waited, received = 0.0, 0
        if block:
            yield block
