"""What the processes of a fleet listen on, as the kernel knows it."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TCP_LISTENS = "0A"
_UNIX_LISTENS = 0x10000


@dataclass(frozen=True)
class Listener:
    """A listening socket: an address with a port, or the path of a Unix socket (port 0)."""

    address: str
    port: int
    pid: int


def listeners(pids: list[int]) -> set[Listener]:
    """The listening sockets of these processes: TCP over IPv4 and IPv6, and Unix."""
    owners = {inode: pid for pid in pids for inode in _sockets(pid)}
    known = [*_tcp("tcp", socket.AF_INET), *_tcp("tcp6", socket.AF_INET6), *_unix()]
    return {Listener(address, port, owners[inode]) for inode, address, port in known if inode in owners}


def _sockets(pid: int) -> Iterator[str]:
    with suppress(OSError):  # it ended meanwhile
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    yield target.removeprefix("socket:[").removesuffix("]")


def _tcp(table: str, family: socket.AddressFamily) -> Iterator[tuple[str, str, int]]:
    for line in Path("/proc/net", table).read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _TCP_LISTENS:
            digits, port = fields[1].split(":")
            # Each group of four bytes is a number in the byte order of the machine.
            packed = b"".join(bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8))
            yield fields[9], socket.inet_ntop(family, packed), int(port, 16)


def _unix() -> Iterator[tuple[str, str, int]]:
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & _UNIX_LISTENS:
            yield fields[6], fields[7] if len(fields) > 7 else "", 0
