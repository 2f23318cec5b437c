"""`python -m native backup` and `restore`: of the fleet in the state folder, or of what the environment names."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from . import postgres, seaweedfs
from .backup import Places, back_up, file_for, restore
from .fleet import places, table
from .hosting import Hosted
from .settings import NativeSettings
from .state import RESTORED, AlreadyRunningError, StateFolder

_BACKING = (postgres.NAME, seaweedfs.NAME)


def backup(state: StateFolder, settings: NativeSettings, target: Path) -> int:
    """Write a backup, of the running fleet or with its database and store started for it alone; 1 if parts are bad."""
    path = file_for(target.absolute())
    manifest = _at(state, settings, lambda where: back_up(where, path, _say), may_run=True)
    return 1 if manifest["objects"]["missing"] or manifest["objects"]["altered"] else 0


def bring_back(state: StateFolder, settings: NativeSettings, path: Path) -> int:
    """Restore a backup into a state folder where no fleet has run yet."""
    path = path.absolute()
    _at(state, settings, lambda where: restore(where, path, _say), may_run=False)
    state.write(RESTORED, {"file": path.name})
    _say("Accounts and passwords are those of the backed-up system.")
    return 0


def _at(
    state: StateFolder,
    settings: NativeSettings,
    work: Callable[[Places], Coroutine[Any, Any, dict[str, Any]]],
    *,
    may_run: bool,
) -> dict[str, Any]:
    """Run the work on the places named by the environment, or on the database and the store of this state folder."""
    elsewhere = Places.of_environment()
    if elsewhere is not None:
        return asyncio.run(work(elsewhere))
    pid = state.holder()
    if pid is not None:
        if not may_run:
            raise AlreadyRunningError(state.path, pid)
        return asyncio.run(work(places(state, settings)))

    def backing(folder: StateFolder) -> list[Any]:
        return [program for program in table(folder, settings) if program.name in _BACKING]

    with Hosted(settings.state_dir, backing).running() as hosted:
        return asyncio.run(work(places(hosted.state, settings)))


def _say(sentence: str) -> None:
    print(sentence, flush=True)
