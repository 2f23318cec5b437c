"""The command line of the native stack: `python -m native up|down|status|demo|migrate|backup|restore|logs`."""

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from . import demo, keeping, postgres, report
from .console import Console, follow
from .fleet import table
from .hosting import Hosted
from .programs import ProgramError, run
from .settings import NativeSettings
from .state import AlreadyRunningError, StateFolder
from .supervisor import Supervisor

STOP_TIMEOUT_SECONDS = 90.0
SUPERVISOR_LOG = "supervisor"


def main() -> int:
    """Run the command in sys.argv; exit code 0 when done, 1 when it failed, 130 after Ctrl-C in the demo."""
    parser = argparse.ArgumentParser(
        prog="python -m native", description="Verbatim on this machine, without containers."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up_parser = commands.add_parser("up", help="start everything and stay; Ctrl-C stops")
    up_parser.add_argument(
        "--detach", action="store_true", help="return when everything is ready, and leave it running"
    )
    commands.add_parser("down", help="stop what `up` started, from another terminal")
    commands.add_parser("migrate", help="bring the four database schemas up to date; `up` does it at every start")
    commands.add_parser("status", help="what runs, where, and whether it is well")
    backup_parser = commands.add_parser("backup", help="rows and objects into one file, while everything runs")
    backup_parser.add_argument("target", type=Path, help="a new file, or a folder for one")
    restore_parser = commands.add_parser("restore", help="a backup into a system that has never run")
    restore_parser.add_argument("file", type=Path)
    demo_parser = commands.add_parser("demo", help="a recording in, its transcript out")
    demo_parser.add_argument("file", nargs="?", type=Path, help="any recording; left out, the bundled sample")
    logs_parser = commands.add_parser("logs", help="what the programs printed")
    logs_parser.add_argument("name", nargs="?", help="one program; left out, the names")
    logs_parser.add_argument("-n", "--lines", type=int, default=100)
    arguments = parser.parse_args()

    os.umask(0o077)  # for everything that is written from here on: state, logs, backups
    try:
        settings = NativeSettings()
    except ValidationError as error:
        for wrong in error.errors():
            print(f"{'_'.join(map(str, wrong['loc'])).upper()} is not valid: {wrong['msg']}.", file=sys.stderr)
        return 2
    state = StateFolder(settings.state_dir)
    actions: dict[str, Callable[[], int]] = {
        "up": lambda: detached(state, settings) if arguments.detach else asyncio.run(up(state, settings)),
        "down": lambda: down(state),
        "migrate": lambda: asyncio.run(migrate(state, settings)),
        "backup": lambda: keeping.backup(state, settings, arguments.target),
        "restore": lambda: keeping.bring_back(state, settings, arguments.file),
        "status": lambda: asyncio.run(report.status(state, settings)),
        "demo": lambda: demo.run(state, settings, arguments.file, lambda: detached(state, settings)),
        "logs": lambda: logs(state, arguments.name, arguments.lines),
    }
    try:
        return actions[arguments.command]()
    except (ProgramError, AlreadyRunningError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def up(state: StateFolder, settings: NativeSettings) -> int:
    """Run the fleet in the foreground until a signal comes or it cannot be kept up."""
    began = time.monotonic()
    state.lock()
    if left := state.clear_leftovers():
        print(f"Ended {left} processes that an earlier fleet left behind.")
    programs = table(state, settings)
    console = Console([program.name for program in programs])
    supervisor = Supervisor(state, programs, console.say)
    following = asyncio.create_task(follow(state, [each.name for each in programs if each.echo], console))
    stopping = _stop_signals(supervisor)
    failure: str | None = None
    starting = asyncio.create_task(supervisor.start())
    try:
        if await _first(starting, stopping):
            print(f"\n{report.summary(state, settings, time.monotonic() - began)}\n", flush=True)
            await _first(asyncio.create_task(supervisor.watch()), stopping)
    except ProgramError as error:
        failure = str(error)
    print(
        "\nStopping; a second Ctrl-C kills."
        if failure is None
        else "\nStopping, because a program cannot be kept running."
    )
    await supervisor.stop()
    following.cancel()
    await asyncio.wait([following])
    state.unlock()
    if failure is not None:
        raise ProgramError(failure)
    print("Everything is stopped; the data stays.")
    return 0


def detached(state: StateFolder, settings: NativeSettings) -> int:
    """Start the fleet in the background and return when it is ready."""
    if state.holder() is not None:
        print(f"The platform is already running here.\n\n{report.summary(state, settings)}")
        return 0
    path = state.log(SUPERVISOR_LOG)
    with path.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "native", "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    print("Starting …", flush=True)
    while process.poll() is None:
        if state.holder() == process.pid and report.is_up(state, process.pid):
            print(f"\n{report.summary(state, settings)}")
            return 0
        time.sleep(0.2)
    last_words = [line for line in path.read_text(errors="replace").splitlines() if line.strip()][-1:]
    raise ProgramError(f"{''.join(last_words) or 'It ended without output'} (the whole start: {path})")


def down(state: StateFolder) -> int:
    """Stop a running fleet and wait for its end; then make sure that nothing is left of it."""
    pid = state.holder()
    if pid is not None:
        print("Stopping …", flush=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while state.holder() == pid:
            if time.monotonic() > deadline:
                raise ProgramError(f"the fleet (process {pid}) did not stop within {STOP_TIMEOUT_SECONDS:g} s")
            time.sleep(0.1)
    left = state.clear_leftovers()
    if pid is None and not left:
        print("Nothing was running.")
    else:
        print("Everything is stopped; the data stays.")
    return 0


async def migrate(state: StateFolder, settings: NativeSettings) -> int:
    """Run the migrations, in the running fleet or with the database started for them alone."""
    programs = {program.name: program for program in table(state, settings)}
    migrations = [program for program in programs.values() if program.is_task]
    if state.holder() is not None:
        for program in migrations:
            print(await run(program.command, env=program.env), end="")
        return 0
    with Hosted(settings.state_dir, lambda _: [programs[postgres.NAME], *migrations], _print_line).running():
        return 0


def _print_line(name: str, text: str) -> None:
    print(f"{name}: {text}", flush=True)


def logs(state: StateFolder, name: str | None, lines: int) -> int:
    """Print the last lines of a program's output, or which programs have one."""
    known = sorted(path.stem for path in state.logs.glob("*.log"))
    if name not in known:
        print(f"Programs with a log: {', '.join(known) or 'none yet'}. `python -m native logs NAME` shows one.")
        return 0 if name is None else 1
    print("\n".join(state.log(name).read_text(errors="replace").splitlines()[-lines:]))
    return 0


def _stop_signals(supervisor: Supervisor) -> asyncio.Event:
    """An event that the first Ctrl-C, `make down` or closed terminal sets; the second one kills."""
    stopping = asyncio.Event()

    def react() -> None:
        if stopping.is_set():
            supervisor.kill_all()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, react)
    return stopping


async def _first(work: asyncio.Task[None], stopping: asyncio.Event) -> bool:
    """Wait for the work or for the signal; true when the work was done, and its failure is raised."""
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([work, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if stopping.is_set() or not work.done():
        work.cancel()
        return False
    work.result()
    return True


if __name__ == "__main__":
    sys.exit(main())
