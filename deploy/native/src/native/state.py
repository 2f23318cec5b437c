"""The state folder of a checkout: data, generated credentials, remembered ports, the lock of the one fleet in it."""

import atexit
import contextlib
import errno
import fcntl
import json
import os
import random
import secrets
import shutil
import signal
import socket
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .programs import STATE_VARIABLE

# Below the range that Linux gives to outgoing connections, so that a remembered port is rarely borrowed meanwhile.
PORT_RANGE = range(15_000, 32_000)
CREDENTIALS = "credentials.json"
RESTORED = "restored.json"  # exists where a backup was restored: the accounts are not those of `credentials.json`


class AlreadyRunningError(RuntimeError):
    """Another fleet holds this state folder."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(
            f"the platform is already running in {path} (process {pid}): `make status` shows it, `make down` stops it"
        )
        self.pid = pid


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def write_private(path: Path, content: str) -> None:
    """Write a file that its owner alone may read, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)


def private_folder(path: Path) -> Path:
    """Make a folder, and those above it that are missing, that their owner alone may list and pass through."""
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
    return path


def free_port(taken: Iterable[int] = ()) -> int:
    """A random free loopback port outside `taken`."""
    port = _reserve_any(taken)
    _release(port)
    return port


# Between the choice of a port and the start of the program that listens there, other fleets may look for ports as well.
# A process that has chosen a port binds a name in the kernel, which is freed when the process ends.
_reserved: dict[int, socket.socket] = {}


def _reserve_any(taken: Iterable[int]) -> int:
    avoid = {*taken, *_reserved}
    for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
        if port not in avoid and _reserve(port):
            return port
    raise RuntimeError("no free loopback port is left on this machine")


def _reserve(port: int) -> bool:
    """Whether the port is free and no other process has chosen it; from here on it is this process's."""
    if port not in _reserved:
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0verbatim-port-{port}")
        except OSError:
            name.close()
            return False
        _reserved[port] = name
    if port_is_free(port):
        return True
    _release(port)
    return False


def _release(*ports: int) -> None:
    for port in ports:
        if name := _reserved.pop(port, None):
            name.close()


@atexit.register
def _release_all() -> None:
    _release(*tuple(_reserved))


class StateFolder:
    """One fleet's folder. Everything in it may be deleted to start from nothing."""

    def __init__(self, path: Path) -> None:
        self.path = private_folder(path.resolve())
        # Before anything is in it. What is below is private as well: a process of another account that was given an
        # open folder, as PostgreSQL is, reaches nothing else through it.
        self.path.chmod(0o700)
        self.logs = self.folder("log")
        self._lock_file: int | None = None
        self._ports: dict[str, int] = {}  # settled for this run: our own servers listen there now

    def folder(self, name: str) -> Path:
        """A subfolder, created when missing."""
        return private_folder(self.path / name)

    def log(self, name: str) -> Path:
        """The file that holds what a program printed."""
        return self.logs / f"{name}.log"

    # -- one fleet per folder -------------------------------------------------------------------------------------

    def lock(self) -> None:
        """Become this folder's fleet, or raise `AlreadyRunningError`; the kernel unlocks however the holder ends."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for last_try in (False, True):  # twice, because a call of `holder` takes the lock for an instant
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if last_try:
                    os.close(handle)
                    raise AlreadyRunningError(self.path, self.holder() or 0) from None
                time.sleep(0.2)
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._lock_file = handle
        self._take_from_others()

    def _take_from_others(self) -> None:
        """Withdraw what a former version, or one of the programs, let other accounts read or list."""
        for folder, names, files in os.walk(self.path):
            for name in (*names, *files):
                path = Path(folder, name)
                mode = path.lstat().st_mode
                if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & 0o077:
                    path.chmod(stat.S_IMODE(mode) & ~0o077)

    def unlock(self) -> None:
        """Unlock the folder."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
            _release(*self._ports.values())
            self._ports.clear()

    def holder(self) -> int | None:
        """The process id of the fleet that runs in this folder, or None."""
        try:
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(handle, 32) or b"0") or None
        else:
            return None
        finally:
            os.close(handle)

    # -- secrets and ports ------------------------------------------------------------------------------------------

    def secret(self, name: str, first: str | None = None) -> str:
        """A credential generated once (or `first`) and kept in `credentials.json`, readable by its owner alone."""
        known = self.read(CREDENTIALS)
        if name not in known:
            known[name] = first or secrets.token_urlsafe(32)
            self.write(CREDENTIALS, known)
        return str(known[name])

    def ports(self, *names: str) -> dict[str, int]:
        """A loopback port for each name, the same as last time unless something else listens there by now.

        Where a fleet runs in this folder it is that fleet who listens: its ports stay.
        """
        known: dict[str, int] = self.read("ports.json")
        new = [name for name in names if name not in self._ports]
        in_use = bool(new) and self._lock_file is None and self.holder() is not None
        for name in new:
            port = known.get(name)
            if port is None or not (in_use or _reserve(port)):
                known[name] = _reserve_any(value for key, value in known.items() if key != name)
            self._ports[name] = known[name]
        if new:
            self.write("ports.json", known)
        return {name: self._ports[name] for name in names}

    def read(self, name: str) -> dict[str, Any]:
        """The content of a JSON file of this folder; empty when there is none."""
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return {}
        return content

    def write(self, name: str, content: object) -> None:
        """Replace a JSON file of this folder, in one step and readable by its owner alone."""
        temporary = self.path / f".{name}.{os.getpid()}"
        write_private(temporary, json.dumps(content, indent=2, sort_keys=True))
        temporary.replace(self.path / name)

    # -- the published state of a running fleet -----------------------------------------------------------------

    def publish(self, content: object) -> None:
        """Publish the state of the fleet for other terminals."""
        self.write("status.json", content)

    def published(self) -> dict[str, Any]:
        """The state that the running fleet last published; empty when there is none."""
        return self.read("status.json")

    # -- leftovers --------------------------------------------------------------------------------------------------

    def leftovers(self) -> list[int]:
        """Processes that an earlier fleet of this folder started and that still run."""
        mark = f"{STATE_VARIABLE}={self.path}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to another user
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def clear_leftovers(self, timeout: float = 15.0) -> int:
        """Wait `timeout` seconds for left-over processes to end, then kill them; return their number."""
        first = self.leftovers()
        remaining, deadline = first, time.monotonic() + timeout
        while remaining and time.monotonic() < deadline:
            time.sleep(0.1)
            remaining = self.leftovers()
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return len(first)

    def remove(self) -> None:
        """Delete the whole folder."""
        shutil.rmtree(self.path, ignore_errors=True)
