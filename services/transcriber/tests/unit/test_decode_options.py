"""The options of a decode: prompt and language."""

import pytest

from transcriber.engines.base import DecodeOptions


@pytest.mark.parametrize(
    ("initial_prompt", "hotwords", "prompt"),
    [
        (None, None, None),
        ("  ", "", None),
        ("A meeting.", None, "A meeting."),
        (None, " Zoë, Krzysztof ", "Zoë, Krzysztof"),
        ("A meeting.", "Zoë", "A meeting. Zoë"),
    ],
)
def test_hot_words_end_the_prompt(initial_prompt: str | None, hotwords: str | None, prompt: str | None) -> None:
    assert DecodeOptions("en", initial_prompt=initial_prompt, hotwords=hotwords).prompt == prompt


def test_a_window_has_the_jobs_language_unless_another_is_certain() -> None:
    pinned, free = DecodeOptions("en"), DecodeOptions("en", multilingual=True)
    assert pinned.language_of({"de": 0.9, "en": 0.1}) == "en"
    assert free.language_of({"de": 0.9, "en": 0.1}) == "de"
    assert free.language_of({"de": 0.4, "nl": 0.3, "en": 0.1}) == "en"
