"""Any recording as a stream of 16 kHz mono PCM, decoded by a confined child process; never held in memory whole."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from .decoder import HEADER
from .errors import DecoderDied, Rejected

SAMPLE_RATE: Final = 16_000
SAMPLE_BYTES: Final = 2
DECODER_MEMORY: Final = 1 << 30  # bytes of address space for a decoder: libraries take a third of it

_LARGEST_FRAME: Final = 1 << 20
_STDERR_TAIL: Final = 2000
# A decoder that ends itself this way was broken by what it read; any other signal came from outside.
_OWN_FAULTS: Final = {
    signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGXCPU
}  # fmt: skip


class Decoding:
    """A recording being decoded: iterate over it for the PCM; `source` and `warnings` are complete after the last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._complaints = asyncio.create_task(_tail(process.stderr))
        self.source: dict[str, Any] = {}
        self.warnings: list[dict[str, str]] = []

    @property
    def pid(self) -> int:
        """The decoder's process id."""
        return self._process.pid

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield blocks of signed 16-bit little-endian mono samples at 16 kHz.

        Raises Rejected when the file can never be decoded, DecoderDied when something else ended the decoder.
        """
        while True:
            kind, payload = await self._frame()
            if kind == b"A":
                yield payload
            elif kind == b"S":
                self.source = json.loads(payload)
            elif kind == b"E":
                self.warnings = json.loads(payload)["warnings"]
                return
            else:
                rejection = json.loads(payload)
                raise Rejected(rejection["code"], rejection["reason"])

    async def _frame(self) -> tuple[bytes, bytes]:
        assert self._process.stdout is not None
        try:
            kind, length = HEADER.unpack(await self._process.stdout.readexactly(HEADER.size))
            if length > _LARGEST_FRAME:
                raise Rejected("undecodable")  # a decoder that speaks nonsense has been taken over by its file
            return kind, await self._process.stdout.readexactly(length)
        except asyncio.IncompleteReadError:
            raise await self._post_mortem() from None

    async def _post_mortem(self) -> Exception:
        code = await self._process.wait()
        if code < 0 and signal.Signals(-code) in _OWN_FAULTS:
            return Rejected("undecodable")
        return DecoderDied(f"the decoder ended with {code}: {await self._complaints}")

    async def close(self) -> None:
        """End the process, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        # What is still in the pipe has to be read: asyncio sees the process end only when its pipes have ended.
        assert self._process.stdout is not None
        while await self._process.stdout.read(_LARGEST_FRAME):
            pass
        await self._process.wait()
        await self._complaints


@asynccontextmanager
async def decode(path: Path, *, max_seconds: float) -> AsyncIterator[Decoding]:
    """Start decoding a file (absolute path); after `max_seconds` of audio it is rejected as too long."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "transcriber.decoder", str(path),
        "--parent", str(os.getpid()),
        "--max-seconds", str(max_seconds),
        "--memory-bytes", str(DECODER_MEMORY),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
        # Nothing of our environment: no passwords, and one thread and one arena so that the memory limit is a true one.
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        start_new_session=True,
    )  # fmt: skip
    decoding = Decoding(process)
    try:
        yield decoding
    finally:
        await decoding.close()


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """Read a stream to its end and give the last lines of it."""
    assert stream is not None
    tail = b""
    while block := await stream.read(4096):
        tail = (tail + block)[-_STDERR_TAIL:]
    return tail.decode("utf-8", "replace").strip()
