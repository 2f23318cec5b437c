"""Become a child that cannot outlive its supervisor, then become the program.

The supervisor runs this file as a script, outside the package and with the standard library alone:
`python -I -S launch.py PARENT_PID DEATH_SIGNAL UID:GID|- FOLDER|- COMMAND…`. A script instead of `preexec_fn`, because
running Python between fork and exec is unsafe in a process with threads, and the tests' fleet lives in a thread.

FOLDER is opened before the user changes, and stands in the command as `{folder}`: the program reaches it by its open
descriptor, whatever the modes of the folders above it are.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Drop the user if asked, tie this process's life to its parent's, and exec the command."""
    parent, death_signal, owner, folder, *command = sys.argv[1:]
    os.umask(0o077)  # what the fleet writes is readable by its own accounts alone
    if folder != "-":
        opened = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        os.set_inheritable(opened, True)
        command = [part.replace("{folder}", f"/proc/self/fd/{opened}") for part in command]
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
