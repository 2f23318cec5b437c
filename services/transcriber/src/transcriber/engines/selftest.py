"""The start-up self-test: a worker that does not transcribe a known sentence must not consume work."""

import importlib.resources
import re
import wave
from difflib import SequenceMatcher

import numpy as np
import structlog

from .base import DecodeOptions, Window
from .process import EngineProcess

log = structlog.get_logger(__name__)

# The smallest model may miss a word of the sentence; a broken engine misses nearly all.
_LEAST_SIMILARITY = 0.7


class SelfTestFailed(RuntimeError):
    """The engine runs, but its text differs from the known sentence."""


async def selftest(engine: EngineProcess, model: str) -> None:
    """Transcribe the bundled clip with this model; raise SelfTestFailed if the text is wrong.

    The canned engine is not tested.
    """
    info = await engine.info(model)
    if info.name == "canned":
        return
    audio, expected = clip()
    [result] = await engine.decode(model, [audio], DecodeOptions(language="en"))
    similarity = SequenceMatcher(None, _words(expected), _words(result.text)).ratio()
    if similarity < _LEAST_SIMILARITY:
        raise SelfTestFailed(
            f"{info.name} with {model} on {info.device} wrote {result.text!r}, expected {expected!r}. "
            "Check the model's files with: python -m models check"
        )
    log.info("self-test passed", engine=info.name, model=model, device=info.device, similarity=round(similarity, 2))


def clip() -> tuple[Window, str]:
    """Return the bundled self-test clip and its text."""
    samples = importlib.resources.files("transcriber") / "samples"
    with (samples / "selftest.wav").open("rb") as file, wave.open(file) as recording:
        samples16 = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
    audio = samples16.astype(np.float32) / np.float32(32_768)
    return audio, (samples / "selftest.txt").read_text(encoding="utf-8").strip()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
