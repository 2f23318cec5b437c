"""Backup and restore: rows and objects in one file, taken while jobs run, brought back into an empty system."""

from .archive import DamagedArchiveError
from .places import Places
from .restoring import restore
from .taking import back_up, file_for

__all__ = ["DamagedArchiveError", "Places", "back_up", "file_for", "restore"]
