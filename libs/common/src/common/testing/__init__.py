"""What the tests of all members share; production code imports nothing from here."""

from .clock import Clock
from .identity import Issuer
from .waiting import eventually, eventually_blocking

__all__ = ["Clock", "Issuer", "eventually", "eventually_blocking"]
