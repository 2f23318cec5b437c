"""The language is the one asked for, or the one that is heard, and is pinned once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from common.events import JobOptions
from transcriber.engines.base import Window
from transcriber.errors import ModelNotServed, Rejected, in_words
from transcriber.languages import LanguageChoice
from transcriber.process import EngineProcess, EngineSettings
from transcriber.service import chosen

WINDOW: Window = np.zeros(16_000, np.float32)


class Ear(EngineProcess):
    """An engine that hears what the test says, and remembers what it was asked."""

    def __init__(self, *answers: tuple[str, float]) -> None:
        super().__init__(EngineSettings(model_dir=Path("none")))
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def detect_language(self, model: str, windows: Sequence[Window]) -> tuple[str, float]:
        self.asked.append((model, len(windows)))
        return self._answers.pop(0)


async def test_a_language_asked_for_is_not_listened_for() -> None:
    ear = Ear()
    choice = LanguageChoice(ear, JobOptions(language="de"), ["base"])
    assert await choice.hear([WINDOW], last=False) == "de"
    assert (ear.asked, choice.probability) == ([], None)


async def test_a_clear_first_window_is_enough() -> None:
    ear = Ear(("fr", 0.95))
    choice = LanguageChoice(ear, JobOptions(), ["base"])
    assert await choice.hear([WINDOW], last=False) == "fr"
    assert await choice.hear([WINDOW], last=False) == "fr"
    assert ear.asked == [("base", 1)]
    assert choice.probability == 0.95


async def test_an_unclear_window_waits_for_more() -> None:
    ear = Ear(("fr", 0.3), ("es", 0.4), ("es", 0.5))
    choice = LanguageChoice(ear, JobOptions(), ["base"])
    assert await choice.hear([WINDOW], last=False) is None
    assert await choice.hear([WINDOW], last=False) is None
    assert await choice.hear([WINDOW, WINDOW], last=False) == "es"
    assert [count for _, count in ear.asked] == [1, 2, 3]


async def test_the_end_of_the_recording_settles_it() -> None:
    assert await LanguageChoice(Ear(("fr", 0.3)), JobOptions(), ["base"]).hear([WINDOW], last=True) == "fr"


async def test_an_english_model_needs_no_ear_and_takes_no_other_language() -> None:
    choice = LanguageChoice(Ear(), JobOptions(model="tiny.en"), [])
    assert await choice.hear([WINDOW], last=False) == "en"
    with pytest.raises(Rejected) as caught:
        LanguageChoice(Ear(), JobOptions(model="tiny.en", language="de"), [])
    assert caught.value.code == "unsupported_language"
    assert "tiny.en" in caught.value.reason


async def test_another_model_listens_where_the_jobs_own_is_missing() -> None:
    ear = Ear(("de", 0.9))
    await LanguageChoice(ear, JobOptions(model="small"), ["tiny.en", "base"]).hear([WINDOW], last=False)
    assert ear.asked == [("base", 1)]
    with pytest.raises(ModelNotServed):
        await LanguageChoice(Ear(), JobOptions(model="small"), ["tiny.en"]).hear([WINDOW], last=False)


def test_the_default_model_is_served_first() -> None:
    assert chosen(["tiny", "base", "small"], []) == ["base", "tiny", "small"]
    assert chosen(["tiny", "base"], ["tiny", "large-v3"]) == ["tiny"]
    with pytest.raises(ModelNotServed):
        chosen(["tiny"], ["base"])


def test_a_model_that_no_job_can_name_is_left_out() -> None:
    assert chosen(["my own model", "base"], []) == ["base"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 seconds"), (1, "1 second"), (5400, "1.5 hours"), (2700, "45 minutes"), (86_400, "24 hours")],
)
def test_limits_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
