"""Spoken repetitions are kept, and those of a looping decoder are not."""

from collections.abc import Callable, Sequence

import pytest

from transcriber.engines.base import Word
from transcriber.engines.hypothesis import Hypothesis, best_of
from transcriber.engines.repetitions import keep_spoken
from transcriber.engines.results import window_result

PHRASE = ["has", "never", "been", "surpassed"]
WORDS = {7: " then", 8: " it", **{number: f" {word}" for number, word in enumerate(PHRASE)}}


def decoded(tokens: Sequence[int], *, seconds: float = 30.0) -> Hypothesis:
    text = "".join(WORDS[token] for token in tokens).strip()
    return Hypothesis(tuple(tokens), text, seconds, -0.05, 0.01)


def sound_of(times: int, *, each: float = 1.6) -> Callable[[Hypothesis], list[Word]]:
    """A recording with this number of repetitions: further text has no length at its end."""

    def align(text: Hypothesis) -> list[Word]:
        words, clock, left = [], 0.0, times * len(PHRASE)
        for token in text.tokens:
            length = each / len(PHRASE) if left > 0 else 0.0
            words.append(Word(clock, clock + length, WORDS[token], 0.98))
            clock, left = clock + length, left - 1
        return words

    return align


@pytest.mark.parametrize("times", [4, 10, 18])
def test_spoken_repetitions_are_kept(times: int) -> None:
    said = decoded([0, 1, 2, 3] * times, seconds=1.6 * times)
    kept = keep_spoken(said, sound_of(times))
    assert kept.text == said.text
    assert not kept.loops
    assert not kept.is_doubtful


@pytest.mark.parametrize("times", [4, 10, 18])
def test_repetitions_end_with_the_sound(times: int) -> None:
    kept = keep_spoken(decoded(([0, 1, 2, 3] * 56)[:222], seconds=1.6 * times), sound_of(times))
    assert kept.text == " ".join(PHRASE * times)
    assert best_of([kept]) is kept
    said = window_result(kept, sound_of(times)(kept), "en", "transcribe")
    assert said.text == kept.text
    assert len(said.words) == times * len(PHRASE)


def test_a_loop_without_sound_is_unchanged() -> None:
    for tokens, align in (
        ([0, 1, 2, 3] * 40, sound_of(0)),
        ([7, *[0, 1, 2, 3] * 40], lambda text: _stuck(text, [21.0])),
    ):
        loop = decoded(tokens)
        assert keep_spoken(loop, align) is loop
        assert loop.loops


def test_a_loop_over_other_speech_is_unchanged() -> None:
    # What alignment gave for "I do not know what to say" over speech that says something else.
    lengths = [1.96, 0.94, 0.2, 0.0, 0.5, 1.9, 2.02, 1.8]

    def align(text: Hypothesis) -> list[Word]:
        words, clock = [], 0.0
        for index, token in enumerate(text.tokens):
            repetition, place = divmod(index, len(PHRASE))
            length = lengths[repetition % len(lengths)] if place == 2 else 0.0
            words.append(Word(clock, clock + length, WORDS[token], 0.9))
            clock += length
        return words

    loop = decoded([0, 1, 2, 3] * 8)
    assert keep_spoken(loop, align) is loop


def test_text_before_the_repetitions_is_kept() -> None:
    kept = keep_spoken(decoded([7, 8, 0, *[0, 1, 2, 3] * 8]), _even)
    assert kept.text == decoded([7, 8, 0, *[0, 1, 2, 3] * 8]).text


def _even(text: Hypothesis) -> list[Word]:
    return [Word(index * 0.4, index * 0.4 + 0.4, WORDS[token], 0.9) for index, token in enumerate(text.tokens)]


def _stuck(text: Hypothesis, lengths: Sequence[float]) -> list[Word]:
    words, clock = [], 0.0
    for index, token in enumerate(text.tokens):
        length = lengths[index] if index < len(lengths) else 0.0
        words.append(Word(clock, clock + length, WORDS[token], 0.9))
        clock += length
    return words
