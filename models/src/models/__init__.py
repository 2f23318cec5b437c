"""Whisper models: which there are, where they lie, and how to bring one in."""

from .layout import Check, Format, check, default_dir, digest, is_present, location, present
from .registry import EXPECTED, LANGUAGE_CODES, MODELS, Model

__all__ = [
    "EXPECTED",
    "LANGUAGE_CODES",
    "MODELS",
    "Check",
    "Format",
    "Model",
    "check",
    "default_dir",
    "digest",
    "is_present",
    "location",
    "present",
]
