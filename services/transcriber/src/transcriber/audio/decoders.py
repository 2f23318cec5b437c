"""Any recording as a stream of 16 kHz mono PCM, decoded by a confined child process; never held in memory whole."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from transcriber.errors import DecoderDied, Rejected

from .decoder_process import HEADER

DECODER_MEMORY: Final = 1 << 30  # bytes of address space for a decoder: libraries take a third of it

_LARGEST_FRAME: Final = 1 << 20
_STDERR_TAIL: Final = 2000
# A decoder that ends itself this way was broken by what it read; any other signal came from outside.
_OWN_FAULTS: Final = {
    signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGXCPU
}  # fmt: skip


class Decoders:
    """Gives every recording a decoder of its own, forked from a process that has the libraries loaded (`nursery.py`).

    That process starts with the first recording, and again if something ended it.
    """

    def __init__(self) -> None:
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, and with it every decoder."""
        nursery, self._nursery = self._nursery, None
        control, self._control = self._control, None
        if nursery is not None and control is not None:
            control.close()
            nursery.kill()
            nursery.wait()

    @asynccontextmanager
    async def decode(
        self, path: Path, *, max_seconds: float, track: int | str | None = None
    ) -> AsyncIterator["Decoding"]:
        """Start decoding a file (absolute path); after `max_seconds` of audio it is rejected as too long.

        `track` is the number of an audio track, counted from 1, or "mix" for all of them; None = the file's default.
        """
        memory = DECODER_MEMORY * (2 if track == "mix" else 1)
        request = {"path": str(path), "track": track, "max_seconds": max_seconds, "memory_bytes": memory}
        decoding = await self._begin(json.dumps(request).encode())
        try:
            yield decoding
        finally:
            await decoding.close()

    async def _begin(self, request: bytes) -> "Decoding":
        samples, samples_end = os.pipe()
        complaints, complaints_end = os.pipe()
        ours, theirs = socket.socketpair()
        try:
            self._ask(request, [samples_end, complaints_end, theirs.fileno()])
        except BaseException:
            for descriptor in (samples, complaints):
                os.close(descriptor)
            ours.close()
            raise
        finally:
            for descriptor in (samples_end, complaints_end):
                os.close(descriptor)
            theirs.close()
        return await Decoding.of(samples, complaints, ours)

    def _ask(self, request: bytes, descriptors: list[int]) -> None:
        """Send a request to the nursery, to a new one if it has ended; the message is small, so this does not block."""
        if self._nursery is None or self._nursery.poll() is not None:
            self.close()
            self._start()
        assert self._control is not None
        try:
            socket.send_fds(self._control, [request], descriptors)
        except OSError as error:
            raise DecoderDied(f"the process that decoders come from has ended: {error}") from error

    def _start(self) -> None:
        # From the event loop's own thread: the process dies with the thread that started it.
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, "-I", "-m", f"{__package__}.fork_server", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
                # Nothing of our environment: no passwords, and one thread and one arena so that the memory limit is a
                # true one.
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
                start_new_session=True,
            )


class Decoding:
    """A recording being decoded: iterate over it for the PCM; the rest is complete after the last block.

    `source` is what the file says about itself, `decoder` the versions of the libraries that read it.
    """

    def __init__(self, pipes: "_Pipes", pid: int) -> None:
        self._pipes = pipes
        self._samples, self._line = pipes.samples, pipes.line
        self._complaints = asyncio.create_task(_tail(pipes.complaints))
        self._status: int | None = None
        self.pid = pid
        self.cpu_seconds = 0.0
        self.source: dict[str, Any] = {}
        self.decoder: dict[str, str] = {}
        self.warnings: list[dict[str, str]] = []

    @classmethod
    async def of(cls, samples: int, complaints: int, channel: socket.socket) -> "Decoding":
        """Take over the ends of a decoder's pipes; raises DecoderDied when there is no decoder."""
        pipes = await _Pipes.open(samples, complaints, channel)
        born = await pipes.line.readline()
        if not born:
            pipes.close()
            raise DecoderDied("the process that decoders come from has ended")
        return cls(pipes, json.loads(born)["pid"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield blocks of signed 16-bit little-endian mono samples at 16 kHz.

        Raises Rejected when the file can never be decoded, DecoderDied when something else ended the decoder.
        """
        await self.opened()
        while True:
            kind, payload = await self._frame()
            if kind == b"A":
                yield payload
            elif kind == b"E":
                self.warnings = json.loads(payload)["warnings"]
                return
            else:
                raise _rejection(payload)

    async def opened(self) -> dict[str, Any]:
        """Wait until the file is open, and give its source; raises what iterating raises."""
        if not self.source:
            kind, payload = await self._frame()
            if kind != b"S":
                raise _rejection(payload)
            said = json.loads(payload)
            self.source, self.decoder = said["source"], said["decoder"]
        return self.source

    async def _frame(self) -> tuple[bytes, bytes]:
        try:
            kind, length = HEADER.unpack(await self._samples.readexactly(HEADER.size))
            if length > _LARGEST_FRAME:
                raise Rejected("undecodable")  # a decoder that speaks nonsense has been taken over by its file
            return kind, await self._samples.readexactly(length)
        except asyncio.IncompleteReadError:
            raise await self._post_mortem() from None

    async def _post_mortem(self) -> Exception:
        await self._ended()
        if self._status is None:
            return DecoderDied("the process that decoders come from has ended")
        if self._status < 0 and signal.Signals(-self._status) in _OWN_FAULTS:
            return Rejected("undecodable")
        return DecoderDied(f"the decoder ended with {self._status}: {await self._complaints}")

    async def _ended(self) -> None:
        """Wait until the decoder has ended; its status stays unknown when nobody is left to tell it."""
        if self._status is None and (line := await self._line.readline()):
            end = json.loads(line)
            self._status, self.cpu_seconds = end["status"], end["cpu_seconds"]

    async def close(self) -> None:
        """End the process, whatever it is doing."""
        self._pipes.hang_up()  # which has the nursery kill it
        await self._ended()
        self._pipes.close()
        await self._complaints


@dataclass(frozen=True)
class _Pipes:
    """What connects us with a decoder: its samples, its complaints, and the line to the process it comes from."""

    samples: asyncio.StreamReader
    complaints: asyncio.StreamReader
    line: asyncio.StreamReader
    transports: tuple[asyncio.BaseTransport, asyncio.BaseTransport]
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, samples: int, complaints: int, channel: socket.socket) -> "_Pipes":
        heard, from_samples = await _reader(samples)
        said, from_complaints = await _reader(complaints)
        line, writer = await asyncio.open_connection(sock=channel)
        return cls(heard, said, line, (from_samples, from_complaints), writer)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.writer.write_eof()

    def close(self) -> None:
        for transport in self.transports:
            transport.close()
        self.writer.close()


def _rejection(payload: bytes) -> Rejected:
    said = json.loads(payload)
    return Rejected(said["code"], said["reason"])


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    """Read a pipe in the event loop."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, transport


async def _tail(stream: asyncio.StreamReader) -> str:
    """Read a stream to its end and give the last lines of it."""
    tail = b""
    while block := await stream.read(4096):
        tail = (tail + block)[-_STDERR_TAIL:]
    return tail.decode("utf-8", "replace").strip()
