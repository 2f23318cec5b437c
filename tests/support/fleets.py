"""The whole platform for a test: the same fleet that `make up` starts, in a state folder of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models import layout
from native.fleet import Fleet
from native.settings import NativeSettings

FORMATS = {"ctranslate2": layout.Format.CT2, "openai-whisper": layout.Format.PT}


@contextmanager
def running_fleet(state: Path, engine: str, *, transcribers: int = 2) -> Iterator[Fleet]:
    """The platform with an engine and so many workers; without the weights the test fails and says what to do."""
    settings = NativeSettings()
    if not layout.is_present(settings.model_dir, "base", FORMATS[engine]):
        pytest.fail(f"{engine} finds no base model in {settings.model_dir}: run `make models`")
    settings = settings.model_copy(update={"state_dir": state, "transcribers": transcribers, "gateway_port": 0})
    with Fleet(state, settings, extra={"transcriber": {"ENGINE": engine}}).running() as fleet:
        yield fleet
