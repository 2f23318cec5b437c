"""Temporary folders for recordings while they are planned."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_PREFIX: Final = "verbatim-plan-"


@contextmanager
def work_folder(work_dir: Path) -> Iterator[Path]:
    """Create a folder and remove it afterwards."""
    with TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=work_dir) as name:
        yield Path(name)


def remove_orphans(work_dir: Path) -> None:
    """Remove the folders of processes that were killed."""
    work_dir.mkdir(parents=True, exist_ok=True)
    for left in work_dir.glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).split("-", 1)[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
            log.info("orphaned work folder removed", folder=left.name)
