"""The web page's files at the path of the previous system."""

import mimetypes
from collections.abc import AsyncIterator
from pathlib import Path
from stat import S_ISREG

import anyio
from anyio.to_thread import run_sync
from fastapi import Request, Response

from gateway.errors import FileNotFound

from .pages import WebPage
from .ranges import ranged

_BLOCK = 256 * 1024


async def static_file(request: Request, page: WebPage | None, path: str) -> Response:
    """A file of the built page; raises FileNotFound, also for paths outside its folder."""
    if page is None or "\0" in path:
        raise FileNotFound("There is no such file.")
    found, status = await run_sync(page.lookup_path, path)
    if status is None or not S_ISREG(status.st_mode):
        raise FileNotFound("There is no such file.")
    kind, _ = mimetypes.guess_type(found)
    return ranged(
        request,
        size=status.st_size,
        etag=f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
        headers={"Content-Type": kind or "application/octet-stream"},
        opener=lambda start, length: _read(Path(found), start, length),
    )


async def _read(path: Path, start: int, length: int) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(start)
        while length > 0 and (block := await file.read(min(_BLOCK, length))):
            length -= len(block)
            yield block
