"""A translation is English text: it is split and filtered by English rules, not by those of the spoken language."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.decoding.timeline import Timeline
from transcriber.decoding.word_filter import keep_spoken_words, needs_no_check
from transcriber.engines.base import WindowResult, Word
from transcriber.engines.hypothesis import Hypothesis
from transcriber.engines.results import window_result

# In German a full stop after a small number makes an ordinal number, in English it ends the sentence.
SENTENCES = ["The home team won the match by 12.", "Then everybody went home."]
WINDOW: dict[str, Any] = {"index": 0, "spans": [{"source_start": 0.0, "source_end": 10.0, "offset": 0.0}]}


def spoken(probability: float = 0.9) -> list[Word]:
    texts = " ".join(SENTENCES).split()
    return [Word(index * 0.4, (index + 1) * 0.4, f" {text}", probability) for index, text in enumerate(texts)]


def result(task: Any, words: list[Word]) -> WindowResult:
    return window_result(Hypothesis((1,), " ".join(SENTENCES), 10.0, -0.1, 0.0), words, "de", task)


def segments(result: WindowResult) -> list[str]:
    document = Timeline(WINDOW).document(result, np.zeros(10 * SAMPLE_RATE, np.float32))
    assert document["language"] == "de"
    return [segment["text"] for segment in document["segments"]]


def test_segments_of_a_translation_end_with_english_sentences() -> None:
    assert segments(result("translate", spoken())) == SENTENCES
    assert segments(result("transcribe", spoken())) == [" ".join(SENTENCES)]


@pytest.mark.parametrize(("task", "kept"), [("translate", SENTENCES[0]), ("transcribe", " ".join(SENTENCES))])
def test_words_of_a_translation_are_filtered_by_english_sentences(task: Any, kept: str) -> None:
    # Speech near the first sentence only, and the model is uncertain of the second one.
    words = [replace(word, probability=0.9 if index < 8 else 0.01) for index, word in enumerate(spoken())]
    probabilities = np.full(313, 0.4, np.float32)
    filtered = keep_spoken_words(result(task, words), probabilities)
    assert filtered.text == kept


def test_a_translation_is_checked_sentence_by_sentence() -> None:
    words = [replace(word, probability=0.9 if index < 8 else 0.5) for index, word in enumerate(spoken())]
    assert needs_no_check(result("transcribe", words), 5.0)
    assert not needs_no_check(result("translate", words), 5.0)
