"""Restrict a decoder process before it reads an untrusted file: memory, CPU time, files, network, descriptors."""

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
"""The descriptor to which a decoder writes its samples."""

CPU_LIMIT: Final = 60
"""CPU seconds that a decoder may use without producing audio."""


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent process has ended")


def keep_only(samples: int, errors: int) -> None:
    """Keep two of the descriptors that this process has inherited, as `OUTPUT` and as standard (error) output."""
    os.dup2(errors, 2)
    os.dup2(errors, 1)  # what a library prints must not mix with the samples
    os.dup2(samples, OUTPUT)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(OUTPUT + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def confine(*, parent: int, memory_bytes: int) -> None:
    """Tie this process to its parent and limit its memory; call before a recording is read."""
    libc = ctypes.CDLL(None, use_errno=True)
    # An empty network namespace. Refused where user namespaces are off; there `seal` forbids sockets all the same.
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Last, since a change of credentials can undo it.
    end_with_parent(parent)
    os.chdir("/")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    extend_cpu_limit()


def seal() -> None:
    """Forbid further files, sockets and pipes; call when the recording is open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def extend_cpu_limit() -> None:
    """Allow another `CPU_LIMIT` CPU seconds from now on: a decoder that produces nothing is killed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + CPU_LIMIT
    with contextlib.suppress(ValueError):  # the hard limit is lower and applies
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
