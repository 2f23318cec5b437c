"""Sound that the model passed over is heard again, and what is found goes into its place."""

import numpy as np
import pytest

from transcriber.engines.base import SAMPLE_RATE, Window, WindowResult, Word
from transcriber.hearing import Hole, filled, holes

GOOD, DAY = Word(0.1, 0.6, " Good", 0.9), Word(4.0, 4.5, " day.", 0.9)


def sounding(*stretches: tuple[float, float], seconds: float = 5.0) -> Window:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = 1e-4 * np.random.default_rng(4).standard_normal(len(time))
    for start, end in stretches:
        sound += 0.1 * np.sin(2 * np.pi * 300 * time) * ((time >= start) & (time < end))
    return sound.astype(np.float32)


def said(*words: Word, logprob: float = -0.3) -> WindowResult:
    return WindowResult("".join(word.word for word in words).strip(), logprob, 0.0, words, "en")


def test_sound_between_two_words_is_a_hole() -> None:
    [hole] = holes(sounding((0.1, 0.7), (1.0, 3.5), (4.0, 4.6)), [GOOD, DAY])
    assert hole.before == 1
    assert [hole.start, hole.end] == pytest.approx([0.7, 4.0], abs=0.1)


def test_sound_before_the_first_word_and_after_the_last_is_one_too() -> None:
    window = sounding((0.0, 2.0), (2.5, 3.0), (3.3, 5.0))
    assert [hole.before for hole in holes(window, [Word(2.5, 2.9, " Hm.", 0.9)])] == [0, 1]


@pytest.mark.parametrize("stretches", [[(0.1, 0.7), (4.0, 4.6)], [(0.1, 0.7), (1.5, 2.5), (4.0, 4.6)]])
def test_a_silence_or_a_breath_is_no_hole(stretches: list[tuple[float, float]]) -> None:
    assert holes(sounding(*stretches), [GOOD, DAY]) == []


def test_a_window_in_which_nobody_speaks_has_no_hole() -> None:
    assert holes(sounding((0.0, 5.0)), []) == []


def test_what_is_found_stands_between_the_words_around_it() -> None:
    whole = filled(said(GOOD, DAY), Hole(1.0, 3.5, 1), said(Word(0.2, 0.9, " and", 0.8), Word(0.9, 1.5, " fine", 0.8)))
    assert whole.text == "Good and fine day."
    assert [word.start for word in whole.words] == pytest.approx([0.1, 1.2, 1.9, 4.0])


def test_what_the_model_is_not_sure_of_is_left_out() -> None:
    assert filled(said(GOOD, DAY), Hole(1.0, 3.5, 1), said(GOOD, logprob=-1.1)) == said(GOOD, DAY)
    assert filled(said(GOOD, DAY), Hole(1.0, 3.5, 1), said()) == said(GOOD, DAY)


def test_a_word_next_to_the_hole_is_not_said_twice() -> None:
    found = said(Word(0.1, 0.2, " Good,", 0.9), Word(0.3, 0.9, " fine", 0.8), Word(0.9, 1.2, " day", 0.8))
    assert filled(said(GOOD, DAY), Hole(1.0, 3.5, 1), found).text == "Good fine day."
