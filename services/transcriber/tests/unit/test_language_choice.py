"""The language is the requested or the detected one, and is pinned once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from common.events import JobOptions
from support.noises import noise
from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.engines.base import Window
from transcriber.engines.process import EngineProcess, EngineSettings
from transcriber.errors import ModelNotServed, Rejected, in_words
from transcriber.service import served_models
from transcriber.work.language_choice import MOST_WAITING, LanguageChoice

Samples = NDArray[np.float32]


class StubEngine(EngineProcess):
    """An engine that returns the given languages, and records the requests."""

    def __init__(self, *answers: tuple[str, float]) -> None:
        super().__init__(EngineSettings(model_dir=Path("none")))
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []
        self.seconds: list[float] = []

    async def detect_language(self, model: str, windows: Sequence[Window]) -> tuple[str, float]:
        self.asked.append((model, len(windows)))
        self.seconds += [len(window) / SAMPLE_RATE for window in windows]
        return self._answers.pop(0)


@pytest.fixture
def window(speech: Samples) -> Window:
    """Twenty seconds of speech."""
    return speech[: 20 * SAMPLE_RATE]


@pytest.fixture
def greeting(speech: Samples) -> Window:
    """Five seconds of speech."""
    return speech[: 5 * SAMPLE_RATE]


@pytest.fixture
def nobody() -> Window:
    """Twenty seconds of a ringing telephone."""
    return noise("ringing", 20)


async def test_a_requested_language_is_not_detected(window: Window) -> None:
    ear = StubEngine()
    choice = LanguageChoice(ear, JobOptions(language="de"), ["base"])
    assert await choice.add([window], last=False) == "de"
    assert (ear.asked, choice.probability) == ([], None)


async def test_a_clear_first_window_is_enough(window: Window) -> None:
    ear = StubEngine(("fr", 0.95))
    choice = LanguageChoice(ear, JobOptions(), ["base"])
    assert await choice.add([window], last=False) == "fr"
    assert await choice.add([window], last=False) == "fr"
    assert ear.asked == [("base", 1)]
    assert choice.probability == 0.95


async def test_an_unclear_window_waits_for_more(window: Window) -> None:
    ear = StubEngine(("fr", 0.3), ("es", 0.4), ("es", 0.5), ("es", 0.6), ("fr", 0.4))
    choice = LanguageChoice(ear, JobOptions(), ["base"])
    assert await choice.add([window], last=False) is None
    assert await choice.add([window], last=False) is None
    assert await choice.add([window, window], last=False) is None
    assert await choice.add([window, window], last=False) == "es"
    assert choice.probability == pytest.approx(1.5 / 5, abs=0.001)


async def test_the_end_of_the_recording_decides_the_language(window: Window) -> None:
    assert await LanguageChoice(StubEngine(("fr", 0.3)), JobOptions(), ["base"]).add([window], last=True) == "fr"


async def test_windows_without_speech_have_no_vote(window: Window, nobody: Window) -> None:
    ear = StubEngine(("de", 0.99))
    choice = LanguageChoice(ear, JobOptions(), ["base"])
    assert await choice.add([nobody, nobody, nobody], last=False) is None
    assert ear.asked == []
    assert await choice.add([window], last=False) == "de"
    assert choice.probability == 0.99


async def test_a_short_greeting_does_not_decide_alone_and_counts_by_its_length(
    window: Window, greeting: Window
) -> None:
    choice = LanguageChoice(StubEngine(("en", 0.99), ("de", 0.95), ("de", 0.95)), JobOptions(), ["base"])
    assert await choice.add([greeting], last=False) is None
    assert await choice.add([window, window], last=False) == "de"


async def test_of_a_window_with_little_speech_only_the_speech_is_used(greeting: Window, nobody: Window) -> None:
    ear = StubEngine(("de", 0.99))
    mixed = np.concatenate([nobody[: 12 * SAMPLE_RATE], greeting, nobody[: 12 * SAMPLE_RATE]])
    assert await LanguageChoice(ear, JobOptions(), ["base"]).add([mixed], last=True) == "de"
    assert 4.0 < ear.seconds[0] < 7.0


async def test_without_any_speech_the_most_probable_language_is_taken_at_the_end(nobody: Window) -> None:
    ear = StubEngine(("nn", 0.2))
    choice = LanguageChoice(ear, JobOptions(), ["base"])
    assert await choice.add([nobody], last=False) is None
    assert await choice.add([nobody], last=True) == "nn"
    assert ear.asked == [("base", 2)]


async def test_hours_without_speech_are_released_without_a_decision(window: Window, nobody: Window) -> None:
    ear = StubEngine(("nn", 0.2), ("nn", 0.2), ("de", 0.99))
    choice = LanguageChoice(ear, JobOptions(), ["base"])
    short = nobody[: 2 * SAMPLE_RATE]
    assert await choice.add([short] * (MOST_WAITING - 1), last=False) is None
    assert await choice.add([short], last=False) == "nn"
    assert choice.language is None
    assert await choice.add([short], last=False) is None
    assert await choice.add([short] * (MOST_WAITING - 1), last=False) == "nn"
    assert await choice.add([window], last=False) == "de"
    assert choice.language == "de"


async def test_a_recording_of_noise_gets_a_language_after_its_windows_were_released(nobody: Window) -> None:
    choice = LanguageChoice(StubEngine(("nn", 0.2), ("nn", 0.2)), JobOptions(), ["base"])
    await choice.add([nobody[: 2 * SAMPLE_RATE]] * MOST_WAITING, last=False)
    assert await choice.add([], last=True) == "nn"
    assert choice.language == "nn"


async def test_an_english_model_needs_no_detection_and_rejects_other_languages() -> None:
    choice = LanguageChoice(StubEngine(), JobOptions(model="tiny.en"), [])
    assert await choice.add([np.zeros(SAMPLE_RATE, np.float32)], last=False) == "en"
    with pytest.raises(Rejected) as caught:
        LanguageChoice(StubEngine(), JobOptions(model="tiny.en", language="de"), [])
    assert caught.value.code == "unsupported_language"
    assert "tiny.en" in caught.value.reason


async def test_another_model_detects_the_language_if_the_jobs_own_is_missing(window: Window) -> None:
    ear = StubEngine(("de", 0.9))
    await LanguageChoice(ear, JobOptions(model="small"), ["tiny.en", "base"]).add([window], last=False)
    assert ear.asked == [("base", 1)]
    with pytest.raises(ModelNotServed):
        await LanguageChoice(StubEngine(), JobOptions(model="small"), ["tiny.en"]).add([window], last=False)


def test_the_default_model_is_served_first() -> None:
    assert served_models(["tiny", "base", "small"], []) == ["base", "tiny", "small"]
    assert served_models(["tiny", "base"], ["tiny", "large-v3"]) == ["tiny"]
    with pytest.raises(ModelNotServed):
        served_models(["tiny"], ["base"])


def test_a_model_with_an_invalid_name_is_not_served() -> None:
    assert served_models(["my own model", "base"], []) == ["base"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 seconds"), (1, "1 second"), (5400, "1.5 hours"), (2700, "45 minutes"), (86_400, "24 hours")],
)
def test_durations_are_formatted_for_people(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
