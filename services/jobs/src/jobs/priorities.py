"""Priorities: what they are worth in the queue and among running jobs, so that none of them starves another."""

from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

Priority = Literal["low", "normal", "high"]

PRIORITIES: Final[tuple[Priority, ...]] = ("low", "normal", "high")

DELAYS: Final = MappingProxyType({"low": timedelta(minutes=30), "normal": timedelta(), "high": timedelta(minutes=-30)})
"""How much later a job counts as queued among its owner's jobs: a head start, never a place for ever."""

WEIGHTS: Final = MappingProxyType({"low": 1.0, "normal": 2.0, "high": 4.0})
"""Shares in which an owner's running jobs get workers."""
