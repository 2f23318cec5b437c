"""Doubtful texts are found, and the best of several hypotheses is kept."""

import pytest

from transcriber.engines.base import Word
from transcriber.engines.hypothesis import Hypothesis, best_of, without_loops
from transcriber.engines.results import window_result


def decoded(text: str, *, seconds: float = 10.0, logprob: float = -0.2, no_speech: float = 0.01) -> Hypothesis:
    return Hypothesis((1, 2, 3) if text else (), text, seconds, logprob, no_speech)


SENTENCE = "The committee met on Tuesday and agreed to postpone the vote until the report has been read by everyone."


def test_plain_speech_is_accepted() -> None:
    assert not decoded(SENTENCE).is_doubtful


def test_a_loop_is_doubtful() -> None:
    assert decoded("so it goes on and " * 20, seconds=30).is_doubtful


def test_missing_text_is_doubtful() -> None:
    assert decoded("The committee met", seconds=28).is_doubtful
    assert decoded("", seconds=28).is_doubtful


def test_a_short_text_in_a_short_window_is_accepted() -> None:
    assert not decoded("Yes.", seconds=1.0).is_doubtful


def test_an_improbable_text_is_doubtful() -> None:
    assert decoded(SENTENCE, logprob=-1.4).is_doubtful


def test_a_less_probable_text_could_be_better() -> None:
    assert not decoded(SENTENCE, logprob=-0.2).could_be_better
    assert decoded(SENTENCE, logprob=-0.4).could_be_better
    assert decoded("", seconds=28, logprob=-0.1).could_be_better
    assert not decoded("you", seconds=5, logprob=-0.5, no_speech=0.93).could_be_better


def test_a_more_probable_text_wins_unless_words_are_missing() -> None:
    first = decoded(SENTENCE, logprob=-0.2)
    likelier, shorter = decoded(SENTENCE.upper(), logprob=-0.1), decoded(SENTENCE[:90], logprob=-0.05)
    assert best_of([first, likelier]) == likelier
    assert best_of([first, shorter]) == first


def test_silence_is_not_decoded_again_and_has_no_text() -> None:
    heard = decoded("you", seconds=5, logprob=-0.5, no_speech=0.93)
    assert not heard.is_doubtful
    assert best_of([heard]).text == ""
    assert best_of([heard]).tokens == ()


def test_the_complete_hypothesis_without_a_loop_is_best() -> None:
    loop = decoded("again and again and " * 20, logprob=-0.1)
    dropped = decoded("The", logprob=-0.1)
    whole = decoded(SENTENCE, logprob=-0.9)
    assert best_of([loop, dropped, whole]) == whole


def test_of_equal_hypotheses_the_first_is_best() -> None:
    first, second = decoded(SENTENCE), decoded(SENTENCE)
    assert best_of([first, second]) is first


def test_the_complete_text_is_better_than_a_part() -> None:
    part, whole = decoded(SENTENCE[:60], logprob=-0.2), decoded(SENTENCE, logprob=-0.4)
    assert part.is_doubtful
    assert best_of([part, whole]) == whole


@pytest.mark.parametrize(
    "invented",
    [
        decoded(". .", seconds=20, logprob=-0.1),
        decoded("♪♪", seconds=5, logprob=-0.1),
        decoded("This is the first time I've ever played this game.", seconds=20, logprob=-1.5, no_speech=0.33),
        decoded("I don't know what to say.", seconds=15, logprob=-1.5, no_speech=0.48),
    ],
    ids=lambda tried: tried.text,
)
def test_a_text_that_was_not_spoken_is_dropped(invented: Hypothesis) -> None:
    assert best_of([invented]).text == ""
    assert best_of([invented]).tokens == ()


def test_a_clear_thank_you_is_kept() -> None:
    assert best_of([decoded("Thank you.", seconds=1.2, logprob=-0.2)]).text == "Thank you."


def test_too_much_text_is_doubtful_and_dropped_if_improbable() -> None:
    assert decoded(SENTENCE, seconds=0.5).is_doubtful
    assert best_of([decoded(SENTENCE, seconds=0.5, logprob=-1.2)]).text == ""


def spoken(text: str) -> list[Word]:
    return [Word(index * 0.3, index * 0.3 + 0.3, f" {word}", 0.9) for index, word in enumerate(text.split())]


def test_a_loop_in_every_hypothesis_is_reduced_to_one() -> None:
    text = "It began so. " + "And then it went on. " * 12 + "It ended."
    heard = window_result(decoded(text, seconds=30), spoken(text), "en", "transcribe")
    assert heard.text == "It began so. And then it went on. It ended."
    assert "".join(word.word for word in heard.words).strip() == heard.text


def test_a_loop_of_many_words_is_reduced_to_one() -> None:
    prayer = "lead us not into the night but let us see the day that comes after it and"
    assert without_loops(spoken(f"{prayer} " * 6)) == spoken(prayer)


def test_loops_are_found_regardless_of_punctuation_and_case() -> None:
    words = spoken("Testing, one, two. testing one two Testing! One? Two... testing, one two")
    assert without_loops(words) == words[:3]


def test_three_repetitions_are_kept() -> None:
    words = spoken("No, no, no, I said never, never, never.")
    assert without_loops(words) == words
