"""Gaps with speech are decoded again, and the words found are inserted there."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from support.noises import NOISES, noise
from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.decoding.passes import Gap, decode_in_passes, fill_gap, find_gaps
from transcriber.engines.base import Window, WindowResult, Word

GOOD, DAY = Word(0.1, 0.6, " Good", 0.9), Word(4.0, 4.5, " day.", 0.9)


def sounding(*stretches: tuple[float, float], seconds: float = 5.0) -> Window:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = 1e-4 * np.random.default_rng(4).standard_normal(len(time))
    for start, end in stretches:
        sound += 0.1 * np.sin(2 * np.pi * 300 * time) * ((time >= start) & (time < end))
    return sound.astype(np.float32)


def said(*words: Word, logprob: float = -0.3) -> WindowResult:
    return WindowResult("".join(word.word for word in words).strip(), logprob, 0.0, words, "en")


def test_sound_between_two_words_is_a_gap() -> None:
    [gap] = find_gaps(sounding((0.1, 0.7), (1.0, 3.5), (4.0, 4.6)), [GOOD, DAY])
    assert gap.before == 1
    assert [gap.start, gap.end] == pytest.approx([0.7, 4.0], abs=0.1)


def test_sound_before_the_first_and_after_the_last_word_is_a_gap() -> None:
    window = sounding((0.0, 2.0), (2.5, 3.0), (3.3, 5.0))
    assert [gap.before for gap in find_gaps(window, [Word(2.5, 2.9, " Hm.", 0.9)])] == [0, 1]


@pytest.mark.parametrize("stretches", [[(0.1, 0.7), (4.0, 4.6)], [(0.1, 0.7), (1.5, 2.5), (4.0, 4.6)]])
def test_a_silence_or_a_breath_is_no_gap(stretches: list[tuple[float, float]]) -> None:
    assert find_gaps(sounding(*stretches), [GOOD, DAY]) == []


def test_a_word_that_lasts_too_long_has_a_gap_inside() -> None:
    [gap] = find_gaps(sounding((0.0, 5.0)), [GOOD, Word(0.6, 4.6, " day", 0.9)])
    assert (gap.before, gap.inside) == (1, True)
    found = said(Word(0.0, 0.5, " day.", 0.9), Word(1.0, 1.5, " Good", 0.9), Word(1.6, 2.0, " day", 0.9))
    whole = fill_gap(said(GOOD, Word(0.6, 4.6, " day", 0.9)), gap, found)
    assert whole.text == "Good day. Good day"
    assert [word.start for word in whole.words] == sorted(word.start for word in whole.words)
    assert whole.words[-1].end == 4.6


def test_a_window_without_words_has_no_gap() -> None:
    assert find_gaps(sounding((0.0, 5.0)), []) == []


def test_words_found_in_a_gap_are_inserted_there() -> None:
    whole = fill_gap(said(GOOD, DAY), Gap(1.0, 3.5, 1), said(Word(0.2, 0.9, " and", 0.8), Word(0.9, 1.5, " fine", 0.8)))
    assert whole.text == "Good and fine day."
    assert [word.start for word in whole.words] == pytest.approx([0.1, 1.2, 1.9, 4.0])


def test_improbable_words_are_not_inserted() -> None:
    assert fill_gap(said(GOOD, DAY), Gap(1.0, 3.5, 1), said(GOOD, logprob=-1.1)) == said(GOOD, DAY)
    assert fill_gap(said(GOOD, DAY), Gap(1.0, 3.5, 1), said()) == said(GOOD, DAY)


def test_a_word_beside_the_gap_is_not_duplicated() -> None:
    found = said(Word(0.1, 0.2, " Good,", 0.9), Word(0.3, 0.9, " fine", 0.8), Word(0.9, 1.2, " day", 0.8))
    assert fill_gap(said(GOOD, DAY), Gap(1.0, 3.5, 1), found).text == "Good fine day."


class Script:
    """A decoder that returns the given results call by call, and records the lengths of the windows."""

    def __init__(self, *answers: list[WindowResult]) -> None:
        self._answers = list(answers)
        self.asked: list[list[float]] = []
        self.windows: list[Sequence[Window]] = []

    async def decode(self, windows: Sequence[Window]) -> list[WindowResult]:
        self.asked.append([round(len(window) / SAMPLE_RATE, 1) for window in windows])
        self.windows.append(windows)
        return self._answers.pop(0)


def evenly(text: str, seconds: float, *, sure: float = 0.95) -> tuple[Word, ...]:
    words = text.split()
    each = seconds / len(words)
    return tuple(Word(index * each, (index + 1) * each, f" {word}", sure) for index, word in enumerate(words))


async def test_gaps_are_decoded_until_nothing_more_is_found(speech: NDArray[np.float32]) -> None:
    window = speech[: 20 * SAMPLE_RATE]
    sentence = "The committee met on Tuesday and agreed to wait for the report"
    found = said(*evenly(sentence, 5.0), logprob=-0.1)
    script = Script([found], [found], [found], [said()])
    [result] = await decode_in_passes(script.decode, [window])
    assert result.text == " ".join([sentence] * 3)
    assert [len(pieces) for pieces in script.asked] == [1, 1, 1, 1]
    lengths = [pieces[0] for pieces in script.asked]
    assert lengths == sorted(lengths, reverse=True)


async def test_speech_beside_noise_is_decoded_again_without_the_noise(speech: NDArray[np.float32]) -> None:
    window = np.concatenate([speech[: 4 * SAMPLE_RATE], noise("typing", 12)])
    unclear = said(*evenly("Good warning to anybody who was here", 4.0), logprob=-0.5)
    clear = said(*evenly("Good morning to everybody who is here", 4.0), logprob=-0.2)
    script = Script([unclear], [clear])
    [result] = await decode_in_passes(script.decode, [window])
    assert result == clear
    assert len(script.asked) == 2, "the noise is no gap"
    [quieted] = script.windows[1]
    assert np.array_equal(quieted[: 4 * SAMPLE_RATE], window[: 4 * SAMPLE_RATE])
    assert np.abs(quieted[5 * SAMPLE_RATE :]).max() == 0
    assert (await decode_in_passes(Script([clear], [unclear]).decode, [window])) == [clear]


async def test_text_over_noise_is_dropped() -> None:
    credit = said(*evenly("Субтитры сделал DimaTorzok", 6.0), logprob=-0.2)
    for name in NOISES:
        [result] = await decode_in_passes(Script([credit]).decode, [noise(name, 8)])
        assert (result.text, result.words) == ("", ()), name


async def test_a_spoken_thank_you_is_kept(speech: NDArray[np.float32]) -> None:
    spoken = said(*evenly("Thank you for watching.", 2.5, sure=0.8), logprob=-0.3)
    [result] = await decode_in_passes(Script([spoken]).decode, [speech[: round(2.6 * SAMPLE_RATE)]])
    assert result == spoken
