"""What a decoder process gives up before it touches a stranger's file: memory, time, files, network and its parent."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000

CPU_PATIENCE: Final = 60
"""Seconds of CPU that may pass without any audio coming out."""


def confine(*, parent: int, memory_bytes: int) -> None:
    """Tie this process to its parent and cap its memory; call before loading libraries and threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    # A network of its own, with nobody on it. Refused where user namespaces are off: `seal` closes that door as well.
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Last, since a change of credentials can undo it.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.chdir("/")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    keep_going()


def seal() -> None:
    """Refuse every further open file, socket and pipe; call when all libraries are loaded and the file is open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def keep_going() -> None:
    """Allow another `CPU_PATIENCE` seconds of CPU, counted from now: a decoder that produces nothing is ended."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + CPU_PATIENCE
    with contextlib.suppress(ValueError):  # the hard limit of this machine is lower still, and holds
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
