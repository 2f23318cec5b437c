"""The whole platform for a test: the same fleet that `make up` starts, in a state folder of its own."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from models import detector, layout
from native.fleet import Fleet
from native.settings import NativeSettings

# Tests log in and ask often, all from one address, and as people who registered.
PATIENT = {
    "auth": {
        "ALLOW_REGISTRATION": "true",
        "LOGIN_ATTEMPTS": "100000",
        "LOGIN_ATTEMPTS_PER_ADDRESS": "100000",
        "ACCESS_TOKEN_EXPIRE_MINUTES": "1440",  # one is enough for a whole run, or a long soak
    },
    "gateway": {"LOGINS_PER_MINUTE": "100000", "REQUESTS_PER_MINUTE": "0", "REQUESTS_PER_MINUTE_PER_ADDRESS": "0"},
}
# The rows of the workers of `real_fleet`.
WORKERS = ("transcriber-1", "transcriber-2", "transcriber-3", TORCH_WORKER := "transcriber-4")
FORMATS = {"ctranslate2": layout.Format.CT2, "openai-whisper": layout.Format.PT}

T = TypeVar("T")
_before = ExitStack()


@contextmanager
def in_turn(platform: AbstractContextManager[T]) -> Iterator[T]:
    """A platform that many tests in a row share; the one before it, which has had its turn, is stopped first."""
    global _before
    stop_platform()
    with ExitStack() as _before:
        yield _before.enter_context(platform)


def stop_platform() -> None:
    """Stop the platform whose turn it is, if there is one."""
    _before.close()


@contextmanager
def real_fleet(state: Path) -> Iterator[Fleet]:
    """The platform with real Whisper: two workers of the default engine run, a third and one on torch may be started.

    Without the weights the test fails and says what to do. The default engine decodes in int8, which is quicker; what
    float32 does is asked of the engine itself.
    """
    settings = NativeSettings()
    for engine, weights in FORMATS.items():
        if not layout.is_present(settings.model_dir, "base", weights):
            pytest.fail(f"{engine} finds no base model in {settings.model_dir}: run `make models`")
    detector.install(settings.model_dir, print)
    settings = settings.model_copy(update={"state_dir": state, "transcribers": 4, "gateway_port": 0})
    extra = {
        "transcriber": {"ENGINE": "ctranslate2", "COMPUTE_TYPE": "int8"},
        TORCH_WORKER: {"ENGINE": "openai-whisper"},
    }
    with Fleet(state, settings, extra=extra).running(held=WORKERS[2:]) as fleet:
        yield fleet


@contextmanager
def canned_fleet(state: Path) -> Iterator[Fleet]:
    """The platform with one worker that invents its texts at once: for tests of all but the speech.

    It may be ended over its API.
    """
    settings = NativeSettings().model_copy(update={"state_dir": state, "transcribers": 1, "gateway_port": 0})
    detector.install(settings.model_dir, print)
    extra = PATIENT | {
        "*": {"ENVIRONMENT": "test", "ENABLE_SERVER_CONTROL": "true"},
        "transcriber": {"ENGINE": "canned"},
    }
    with Fleet(state, settings, extra=extra).running() as fleet:
        yield fleet
