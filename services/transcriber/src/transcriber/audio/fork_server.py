"""The process that decoders are forked from: `python -m transcriber.audio.fork_server FD PARENT`.

Loading the media libraries takes longer than decoding a short recording, so they are loaded here once, and each
recording gets a child process that has the libraries in memory already. This process never reads a recording: an
untrusted file can only break a child, which serves one file and ends.

A request is one JSON message with three descriptors: for the samples, for the error output, and a channel. The channel
returns the child's process id and, when it has ended, its exit status and CPU seconds, one line of JSON each; when the
other side closes the channel, the child is killed.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
from typing import Any, Final

from . import decoder_process, sandbox

_LARGEST_REQUEST: Final = 1 << 16
_DESCRIPTORS: Final = 3


class ForkServer:
    """Forks a decoder per request and reports how it ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._channels: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        woken, self._waker = socket.socketpair()
        woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(woken, selectors.EVENT_READ, "woken")
        self._woken = woken
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        """Serve requests until the other side closes the control socket."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    if not self._fork():
                        return
                elif key.data == "woken":
                    self._woken.recv(4096)
                    self._reap()
                else:
                    self._kill(key.data)

    def _fork(self) -> bool:
        body, descriptors, _, _ = socket.recv_fds(self._control, _LARGEST_REQUEST, _DESCRIPTORS)
        if not body:
            return False
        samples, errors, channel = descriptors
        request, parent = json.loads(body), os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_decoder(request, parent, samples, errors)
        os.close(samples)
        os.close(errors)
        channel_socket = self._channels[pid] = socket.socket(fileno=channel)
        self._selector.register(channel_socket, selectors.EVENT_READ, pid)
        _send(channel_socket, {"pid": pid})
        return True

    def _kill(self, pid: int) -> None:
        """Kill a child whose channel was closed; its process id is not reused before it is reaped."""
        if (channel_socket := self._channels.get(pid)) is not None:
            self._selector.unregister(channel_socket)
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._channels:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            channel_socket = self._channels.pop(pid)
            if channel_socket in self._selector.get_map():
                self._selector.unregister(channel_socket)
            code = os.waitstatus_to_exitcode(status)
            _send(channel_socket, {"status": code, "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 6)})
            channel_socket.close()


def _send(channel_socket: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the other side has closed the channel
        channel_socket.sendall(json.dumps(message).encode() + b"\n")


def _become_decoder(request: dict[str, Any], parent: int, samples: int, errors: int) -> None:
    """Decode in the forked child, with three descriptors and no other one of this process; never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        sandbox.keep_only(samples, errors)
        decoder_process.run(parent=parent, **request)
        status = 0
    except BaseException as error:  # the child must end here in every case
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def main() -> None:
    """Read the control socket's number and the parent's process id from the command line."""
    control = socket.socket(fileno=int(sys.argv[1]))
    sandbox.end_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    decoder_process.load_libraries()
    gc.collect()
    gc.freeze()
    ForkServer(control).serve()


if __name__ == "__main__":
    main()
