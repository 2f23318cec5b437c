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

OUTPUT: Final = 3
"""The descriptor of a decoder's samples."""

CPU_PATIENCE: Final = 60
"""Seconds of CPU that may pass without any audio coming out."""


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however that happens."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def keep_only(samples: int, complaints: int) -> None:
    """Keep two of the descriptors that this process has inherited, as `OUTPUT` and as standard (error) output."""
    os.dup2(complaints, 2)
    os.dup2(complaints, 1)  # whatever a library prints goes to the error output instead of between the samples
    os.dup2(samples, OUTPUT)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(OUTPUT + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def confine(*, parent: int, memory_bytes: int) -> None:
    """Tie this process to its parent and cap its memory; call before anything of a recording is read."""
    libc = ctypes.CDLL(None, use_errno=True)
    # A network of its own, with nobody on it. Refused where user namespaces are off: `seal` closes that door as well.
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Last, since a change of credentials can undo it.
    die_with(parent)
    os.chdir("/")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    keep_going()


def seal() -> None:
    """Refuse every further open file, socket and pipe; call when the recording is open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def keep_going() -> None:
    """Allow another `CPU_PATIENCE` seconds of CPU, counted from now: a decoder that produces nothing is ended."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + CPU_PATIENCE
    with contextlib.suppress(ValueError):  # the hard limit of this machine is lower still, and holds
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
