"""A TCP proxy between the platform and a server it needs: for tests that cut, hang or slow down the network."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from typing import Any


class Proxy:
    """Passes bytes on between its own port and another loopback port, as long as nobody says otherwise.

    It lives in a thread of its own; every method may be called from anywhere and returns when it is done.
    """

    def __init__(self, target: int) -> None:
        """`target` is the port of the real server; nothing listens yet."""
        self.port = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {target}", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._open = True
        self._seconds = 0.0
        self._flowing = asyncio.Event()
        self._answering = asyncio.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Listen while the block runs."""
        self._flowing.set()
        self._answering.set()
        self._thread.start()
        self._run(self._listen())
        try:
            yield self
        finally:
            self._run(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def cut(self) -> None:
        """Break every connection, and every new one, until `mend`."""
        self._run(self._break(stay_open=False))

    def interrupt(self) -> None:
        """Break every connection once; new ones are fine."""
        self._run(self._break(stay_open=True))

    def hang(self) -> None:
        """Keep connections open and pass nothing on, until `mend`."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def swallow_answers(self) -> None:
        """Pass on what clients send and keep what the server answers, until `mend`."""
        self._loop.call_soon_threadsafe(self._answering.clear)

    def slow(self, seconds: float) -> None:
        """Let every piece of data, in both directions, take so much longer, until `mend`."""
        self._seconds = seconds

    def mend(self) -> None:
        """Pass everything on as if nothing had been; what hung comes through now."""
        self._seconds = 0.0
        self._open = True
        self._loop.call_soon_threadsafe(self._flowing.set)
        self._loop.call_soon_threadsafe(self._answering.set)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        self._server.close()
        await self._break(stay_open=False)

    async def _break(self, *, stay_open: bool) -> None:
        self._open = stay_open
        broken = list(self._connections)
        for connection in broken:
            connection.cancel()
        if broken:
            await asyncio.wait(broken)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writers = [writer]
        try:
            if self._open:
                answers, server = await asyncio.open_connection("127.0.0.1", self._target)
                writers.append(server)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pump(reader, server, answers=False))
                    both.create_task(self._pump(answers, writer, answers=True))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass  # either side went away, or the test cut the connection
        finally:
            self._connections.discard(task)
            for each in writers:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        """Pass on one direction; its end is passed on too, because HTTP clients may close their half first."""
        while data := await reader.read(65_536):
            if self._seconds:
                await asyncio.sleep(self._seconds)
            await self._flowing.wait()
            if answers:
                await self._answering.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def nobody_listens() -> int:
    """A loopback port that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
