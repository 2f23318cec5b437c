"""Repetitions that have a sound of their own are kept, and those that only the decoder makes are not."""

from collections.abc import Callable, Sequence

import pytest

from transcriber.engines.base import Word
from transcriber.engines.hypothesis import Decoded, best_of
from transcriber.engines.repetitions import keep_spoken
from transcriber.engines.results import window_result

PHRASE = ["has", "never", "been", "surpassed"]
WORDS = {7: " then", 8: " it", **{number: f" {word}" for number, word in enumerate(PHRASE)}}


def decoded(tokens: Sequence[int], *, seconds: float = 30.0) -> Decoded:
    text = "".join(WORDS[token] for token in tokens).strip()
    return Decoded(tuple(tokens), text, seconds, -0.05, 0.01)


def sound_of(times: int, *, each: float = 1.6) -> Callable[[Decoded], list[Word]]:
    """A recording in which the phrase is said so often: text beyond that is squeezed into no time at its end."""

    def align(text: Decoded) -> list[Word]:
        words, clock, left = [], 0.0, times * len(PHRASE)
        for token in text.tokens:
            length = each / len(PHRASE) if left > 0 else 0.0
            words.append(Word(clock, clock + length, WORDS[token], 0.98))
            clock, left = clock + length, left - 1
        return words

    return align


@pytest.mark.parametrize("times", [4, 10, 18])
def test_what_is_said_many_times_is_kept_that_many_times(times: int) -> None:
    said = decoded([0, 1, 2, 3] * times, seconds=1.6 * times)
    kept = keep_spoken(said, sound_of(times))
    assert kept.text == said.text
    assert not kept.loops
    assert not kept.is_doubtful


@pytest.mark.parametrize("times", [4, 10, 18])
def test_a_decoder_that_does_not_stop_is_cut_where_the_sound_ends(times: int) -> None:
    kept = keep_spoken(decoded(([0, 1, 2, 3] * 56)[:222], seconds=1.6 * times), sound_of(times))
    assert kept.text == " ".join(PHRASE * times)
    assert best_of([kept]) is kept
    said = window_result(kept, sound_of(times)(kept), "en")
    assert said.text == kept.text
    assert len(said.words) == times * len(PHRASE)


def test_a_loop_without_sound_is_left_to_other_tries() -> None:
    for tokens, align in (
        ([0, 1, 2, 3] * 40, sound_of(0)),
        ([7, *[0, 1, 2, 3] * 40], lambda text: _stuck(text, [21.0])),
    ):
        loop = decoded(tokens)
        assert keep_spoken(loop, align) is loop
        assert loop.loops


def test_a_loop_over_other_speech_has_no_rhythm_and_is_left_to_other_tries() -> None:
    # What alignment gave for "I do not know what to say" over speech that says something else.
    lengths = [1.96, 0.94, 0.2, 0.0, 0.5, 1.9, 2.02, 1.8]

    def align(text: Decoded) -> list[Word]:
        words, clock = [], 0.0
        for index, token in enumerate(text.tokens):
            repetition, place = divmod(index, len(PHRASE))
            length = lengths[repetition % len(lengths)] if place == 2 else 0.0
            words.append(Word(clock, clock + length, WORDS[token], 0.9))
            clock += length
        return words

    loop = decoded([0, 1, 2, 3] * 8)
    assert keep_spoken(loop, align) is loop


def test_other_text_before_the_repetitions_stays() -> None:
    kept = keep_spoken(decoded([7, 8, 0, *[0, 1, 2, 3] * 8]), _even)
    assert kept.text == decoded([7, 8, 0, *[0, 1, 2, 3] * 8]).text


def _even(text: Decoded) -> list[Word]:
    return [Word(index * 0.4, index * 0.4 + 0.4, WORDS[token], 0.9) for index, token in enumerate(text.tokens)]


def _stuck(text: Decoded, lengths: Sequence[float]) -> list[Word]:
    words, clock = [], 0.0
    for index, token in enumerate(text.tokens):
        length = lengths[index] if index < len(lengths) else 0.0
        words.append(Word(clock, clock + length, WORDS[token], 0.9))
        clock += length
    return words
