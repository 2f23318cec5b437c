"""One row of the fleet table, and how it becomes a process."""

import asyncio
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("launch.py")
STATE_VARIABLE = (
    "VERBATIM_STATE"  # in the environment of everything that a fleet starts: leftovers are recognised by it
)

Probe = Callable[[], Awaitable[bool]]
Step = Callable[[], Awaitable[None]]


class ProgramError(RuntimeError):
    """A program cannot be started or did not become ready; the message is one sentence for the user."""


@dataclass(frozen=True)
class RunAs:
    """The account of a program that cannot run as the fleet's own user."""

    owner: tuple[int, int] | None = None  # (uid, gid) to become and to give files to; only root may set it
    prefix: tuple[str, ...] = ()  # a wrapper that changes the account

    def adopt(self, folder: Path) -> None:
        """Make a folder and everything in it that user's, also when an earlier run had another account."""
        uid, gid = self.owner or (os.geteuid(), os.getegid())
        if os.geteuid() == 0 and folder.stat().st_uid != uid:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, uid, gid, follow_symlinks=False)


@dataclass(frozen=True)
class Program:
    """One row of the fleet table."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    ready: Probe | None  # None marks a task: it runs to its end, and exit status 0 is its readiness
    ports: Mapping[str, int] = field(default_factory=dict)  # purpose → loopback port; each must be free before a start
    symptom: Callable[[], Awaitable[str]] | None = None  # its own description of why it is not ready
    needs: tuple[str, ...] = ()  # rows that must be ready before this one starts, and stop after it
    asks: tuple[str, ...] = ()  # rows that need not be ready for it to start, but stop after it
    prepare: Step | None = None  # before each start: configuration files, an empty database cluster
    provision: Step | None = None  # after it became ready or a task was done, before dependents: roles, buckets
    settled: Probe | None = None  # for a task: whether there is nothing to do, so that it is not even started
    run_as: RunAs = field(default_factory=RunAs)
    folder: Path | None = None  # `{folder}` in the command: the program reaches it although its parents are closed
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20.0
    stops_itself: bool = True  # False: it closes its data at the signal, but has to be killed after `stop_seconds`
    start_seconds: float = 90.0
    death_signal: signal.Signals = signal.SIGKILL  # what the kernel sends when the supervisor dies
    obeys: bool = False  # a service: its exit status requests a permanent end or a restart
    echo: bool = True  # show its output on the terminal; otherwise it goes to the log file only

    @property
    def is_task(self) -> bool:
        """Whether the row runs to its end instead of staying up."""
        return self.ready is None


def plain_environment(home: Path, state: Path) -> dict[str, str]:
    """The environment of a backing service: nothing inherited, so that no setting of the user's shell leaks in."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        STATE_VARIABLE: str(state),
    }


def unprivileged(programs: Path) -> RunAs:
    """How a program that refuses to run as root can run and still reach its own files.

    As an ordinary user nothing changes. Root becomes `nobody`; where a folder on the way is closed to other users (a
    checkout under /root), `nobody` keeps the one capability that passes through and reads. User namespaces would do as
    well, but containers and chroots forbid them.
    """
    if os.geteuid() != 0:
        return RunAs()
    account = pwd.getpwnam("nobody")
    nobody = RunAs(owner=(account.pw_uid, account.pw_gid))
    if all(folder.stat().st_mode & 0o001 for folder in (programs, *programs.parents)):
        return nobody
    only = "-all,+dac_read_search"
    wrapper = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    wrapper += [f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
    wrapper += ["--securebits=+no_setuid_fixup", "--"]  # or access(2), which PostgreSQL asks, ignores it
    if _works([*wrapper, "test", "-x", str(programs / "postgres")]):
        return RunAs(owner=nobody.owner, prefix=tuple(wrapper))
    raise ProgramError(
        f"PostgreSQL refuses to run as root, and the account nobody cannot reach {programs}: "
        "move the checkout out of a closed folder such as /root, or run as an ordinary user."
    )


def _works(command: Sequence[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _launched(
    command: Sequence[str], run_as: RunAs, death_signal: signal.Signals, folder: Path | None = None
) -> list[str]:
    becomes = None if run_as.prefix else run_as.owner
    owner = "-" if becomes is None else f"{becomes[0]}:{becomes[1]}"
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), owner]
    launcher.append("-" if folder is None else str(folder))
    return [*run_as.prefix, *launcher, *command]


async def spawn(program: Program, output: IO[bytes]) -> asyncio.subprocess.Process:
    """Start the row's command in a process group of its own, its output going to the given file."""
    return await asyncio.create_subprocess_exec(
        *_launched(program.command, program.run_as, program.death_signal, program.folder),
        env=dict(program.env),
        cwd="/",  # readable by whatever user the program becomes
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C reaches the supervisor alone, and the group can be killed whole
    )


async def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    run_as: RunAs | None = None,
    folder: Path | None = None,
    given: str | None = None,
) -> str:
    """Run a short command to its end and return its output; a failing one raises with the last lines it printed.

    `folder` stands in the command as `{folder}`; `given` is what the command reads from its standard input.
    """
    process = await asyncio.create_subprocess_exec(
        *_launched(command, run_as or RunAs(), signal.SIGKILL, folder),
        env=dict(env),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate(None if given is None else given.encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    text = output.decode(errors="replace")
    if process.returncode != 0:
        tail = " / ".join(text.strip().splitlines()[-4:])
        raise ProgramError(f"{Path(command[0]).name} failed with status {process.returncode}: {tail}")
    return text
