"""What the process has once, for its routes, consumers and loops alike."""

from dataclasses import dataclass

from .cancellations import Cancellations
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """Made in app.py, never changed."""

    settings: Settings
    cancellations: Cancellations
