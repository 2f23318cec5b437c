"""Decode any recording to a stream of 16 kHz mono PCM in a sandboxed child process, in constant memory."""

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

DECODER_MEMORY: Final = 1 << 30  # bytes of address space for a decoder; the libraries take a third of it

_LARGEST_FRAME: Final = 1 << 20
_STDERR_TAIL: Final = 2000
# Signals by which a decoder ends because of its input; any other signal came from outside.
_CRASH_SIGNALS: Final = {
    signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGXCPU
}  # fmt: skip


class Decoders:
    """Starts one decoder process per recording, forked from the fork server (`fork_server.py`).

    The fork server starts with the first recording, and again if it has ended.
    """

    def __init__(self) -> None:
        self._fork_server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the fork server, and with it every decoder."""
        process, self._fork_server = self._fork_server, None
        control, self._control = self._control, None
        if process is not None and control is not None:
            control.close()
            process.kill()
            process.wait()

    @asynccontextmanager
    async def decode(
        self, path: Path, *, max_seconds: float, track: int | str | None = None
    ) -> AsyncIterator["Decoding"]:
        """Start decoding a file (absolute path); after `max_seconds` of audio it is rejected as too long.

        `track` is the number of an audio track, counted from 1, or "mix" for all of them; None = the file's default.
        """
        memory = DECODER_MEMORY * (2 if track == "mix" else 1)
        request = {"path": str(path), "track": track, "max_seconds": max_seconds, "memory_bytes": memory}
        decoding = await self._start_decoder(json.dumps(request).encode())
        try:
            yield decoding
        finally:
            await decoding.close()

    async def _start_decoder(self, request: bytes) -> "Decoding":
        samples, samples_end = os.pipe()
        errors, errors_end = os.pipe()
        ours, theirs = socket.socketpair()
        try:
            self._request(request, [samples_end, errors_end, theirs.fileno()])
        except BaseException:
            for descriptor in (samples, errors):
                os.close(descriptor)
            ours.close()
            raise
        finally:
            for descriptor in (samples_end, errors_end):
                os.close(descriptor)
            theirs.close()
        return await Decoding.of(samples, errors, ours)

    def _request(self, request: bytes, descriptors: list[int]) -> None:
        """Send a request to the fork server, restarting it if it has ended; the message is small and does not block."""
        if self._fork_server is None or self._fork_server.poll() is not None:
            self.close()
            self._start_fork_server()
        assert self._control is not None
        try:
            socket.send_fds(self._control, [request], descriptors)
        except OSError as error:
            raise DecoderDied(f"the fork server has ended: {error}") from error

    def _start_fork_server(self) -> None:
        # From the event loop's own thread: the fork server ends with the thread that started it.
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._fork_server = subprocess.Popen(
                [sys.executable, "-I", "-m", f"{__package__}.fork_server", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
                # Without our environment, which holds secrets; one thread and one arena keep the memory limit exact.
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
                start_new_session=True,
            )


class Decoding:
    """A recording that is being decoded: iterate over it for the PCM; its attributes are complete afterwards.

    `source` is the file's description of itself, `decoder` the versions of the decoding libraries.
    """

    def __init__(self, pipes: "_Pipes", pid: int) -> None:
        self._pipes = pipes
        self._samples, self._channel = pipes.samples, pipes.channel
        self._errors = asyncio.create_task(_tail(pipes.errors))
        self._status: int | None = None
        self.pid = pid
        self.cpu_seconds = 0.0
        self.source: dict[str, Any] = {}
        self.decoder: dict[str, str] = {}
        self.warnings: list[dict[str, str]] = []

    @classmethod
    async def of(cls, samples: int, errors: int, channel: socket.socket) -> "Decoding":
        """Take the ends of a decoder's pipes; raises DecoderDied if the fork server has ended."""
        pipes = await _Pipes.open(samples, errors, channel)
        started = await pipes.channel.readline()
        if not started:
            pipes.close()
            raise DecoderDied("the fork server has ended")
        return cls(pipes, json.loads(started)["pid"])

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
        """Wait until the file is open and return its source; raises the errors of the iteration."""
        if not self.source:
            kind, payload = await self._frame()
            if kind != b"S":
                raise _rejection(payload)
            message = json.loads(payload)
            self.source, self.decoder = message["source"], message["decoder"]
        return self.source

    async def _frame(self) -> tuple[bytes, bytes]:
        try:
            kind, length = HEADER.unpack(await self._samples.readexactly(HEADER.size))
            if length > _LARGEST_FRAME:
                raise Rejected("undecodable")  # an invalid frame: the file has taken over its decoder
            return kind, await self._samples.readexactly(length)
        except asyncio.IncompleteReadError:
            raise await self._failure() from None

    async def _failure(self) -> Exception:
        await self._ended()
        if self._status is None:
            return DecoderDied("the fork server has ended")
        if self._status < 0 and signal.Signals(-self._status) in _CRASH_SIGNALS:
            return Rejected("undecodable")
        return DecoderDied(f"the decoder ended with {self._status}: {await self._errors}")

    async def _ended(self) -> None:
        """Wait until the decoder has ended; the status stays unknown if the fork server has ended too."""
        if self._status is None and (line := await self._channel.readline()):
            end = json.loads(line)
            self._status, self.cpu_seconds = end["status"], end["cpu_seconds"]

    async def close(self) -> None:
        """End the process, whatever it is doing."""
        self._pipes.close_channel()  # the fork server then kills the decoder
        await self._ended()
        self._pipes.close()
        await self._errors


@dataclass(frozen=True)
class _Pipes:
    """The connections to a decoder: its samples, its error output, and the channel to the fork server."""

    samples: asyncio.StreamReader
    errors: asyncio.StreamReader
    channel: asyncio.StreamReader
    transports: tuple[asyncio.BaseTransport, asyncio.BaseTransport]
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, samples: int, errors: int, channel: socket.socket) -> "_Pipes":
        sample_stream, from_samples = await _reader(samples)
        error_stream, from_errors = await _reader(errors)
        reader, writer = await asyncio.open_connection(sock=channel)
        return cls(sample_stream, error_stream, reader, (from_samples, from_errors), writer)

    def close_channel(self) -> None:
        with contextlib.suppress(OSError):
            self.writer.write_eof()

    def close(self) -> None:
        for transport in self.transports:
            transport.close()
        self.writer.close()


def _rejection(payload: bytes) -> Rejected:
    message = json.loads(payload)
    return Rejected(message["code"], message["reason"])


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
