"""Become a child that cannot outlive its supervisor, then become the program.

The supervisor runs this file as a script, outside the package and with the standard library alone:
`python -I -S launch.py PARENT_PID DEATH_SIGNAL UID:GID|- COMMAND…`. A script instead of `preexec_fn`, because
running Python between fork and exec is unsafe in a process with threads, and the tests' fleet lives in a thread.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Drop the user if asked, tie this process's life to its parent's, and exec the command."""
    parent, death_signal, owner, *command = sys.argv[1:]
    if owner != "-":
        uid, gid = (int(part) for part in owner.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, because the kernel forgets the death signal when the credentials change.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the supervisor was gone before its child started")
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the program is this file's purpose
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
