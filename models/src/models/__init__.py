"""Whisper models: the registry, their files in MODEL_DIR, and their installation."""

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
