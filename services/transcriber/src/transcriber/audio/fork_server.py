"""The process that decoders are forked from: `python -m transcriber.audio.fork_server FD PARENT`, by `decoders`.

Loading the media libraries takes longer than decoding a short recording, so they are loaded here once, and each
recording gets a child of its own with the libraries in its memory already. This process never reads a recording: what
a stranger's file can break is a child, which serves one file and ends.

A request is one message of JSON with three descriptors: where the samples go, where complaints go, and a channel. Over
the channel the child's process id and, when it has ended, its exit status and CPU seconds come back, a line of JSON
each; when the other side closes the channel, the child is killed.
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


class Nursery:
    """Forks a decoder per request, and tells what became of it."""

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
        """Work until the other side closes the control socket."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    if not self._take():
                        return
                elif key.data == "woken":
                    self._woken.recv(4096)
                    self._reap()
                else:
                    self._abandon(key.data)

    def _take(self) -> bool:
        body, descriptors, _, _ = socket.recv_fds(self._control, _LARGEST_REQUEST, _DESCRIPTORS)
        if not body:
            return False
        samples, complaints, channel = descriptors
        request, parent = json.loads(body), os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_decoder(request, parent, samples, complaints)
        os.close(samples)
        os.close(complaints)
        line = self._channels[pid] = socket.socket(fileno=channel)
        self._selector.register(line, selectors.EVENT_READ, pid)
        _say(line, {"pid": pid})
        return True

    def _abandon(self, pid: int) -> None:
        """Kill a child that nobody waits for any more; as long as it is not reaped, the number is its own."""
        if (line := self._channels.get(pid)) is not None:
            self._selector.unregister(line)
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._channels:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            line = self._channels.pop(pid)
            if line in self._selector.get_map():
                self._selector.unregister(line)
            code = os.waitstatus_to_exitcode(status)
            _say(line, {"status": code, "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 6)})
            line.close()


def _say(line: socket.socket, fact: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        line.sendall(json.dumps(fact).encode() + b"\n")


def _become_decoder(request: dict[str, Any], parent: int, samples: int, complaints: int) -> None:
    """Decode in the forked child, with three descriptors and nothing else of this process; never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        sandbox.keep_only(samples, complaints)
        decoder_process.run(parent=parent, **request)
        status = 0
    except BaseException as error:  # the fork must end here, whatever happens
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def main() -> None:
    """Take the control socket's number and the parent's process id from the command line."""
    control = socket.socket(fileno=int(sys.argv[1]))
    sandbox.die_with(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    decoder_process.load_libraries()
    gc.collect()
    gc.freeze()
    Nursery(control).serve()


if __name__ == "__main__":
    main()
