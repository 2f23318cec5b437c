"""Words get their punctuation from the engine's result, and their times from the sound."""

import numpy as np
import pytest

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.decoding.word_times import settle_times
from transcriber.engines.base import Word
from transcriber.engines.hypothesis import Hypothesis
from transcriber.engines.results import window_result


def tones(
    *sounding: tuple[float, float], seconds: float = 4.0, hiss: float = 1e-4
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Sound between the given seconds, and a faint hiss everywhere."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = hiss * np.random.default_rng(1).standard_normal(len(time))
    for start, end in sounding:
        sound += 0.1 * np.sin(2 * np.pi * 200 * time) * ((time >= start) & (time < end))
    return sound.astype(np.float32)


def edges(words: list[Word]) -> list[float]:
    return [moment for word in words for moment in (word.start, word.end)]


def test_words_begin_and_end_at_the_edges_of_the_pauses_near_them() -> None:
    window = tones((0.5, 1.0), (1.5, 2.5))
    heard = [Word(0.2, 0.9, " Good", 0.9), Word(0.9, 1.7, " day", 0.9), Word(1.9, 2.3, " Tom", 0.9)]
    heard[1] = Word(0.9, 1.9, " day", 0.9)
    assert edges(settle_times(heard, window)) == pytest.approx([0.5, 1.0, 1.5, 1.96, 1.96, 2.5], abs=0.03)


def test_a_short_word_near_a_pause_stays_on_its_side() -> None:
    window = tones((0.0, 1.1), (2.1, 4.0))
    heard = [Word(0.4, 0.85, " around", 0.9), Word(0.85, 1.2, " it.", 0.9), Word(1.95, 2.6, " Then", 0.9)]
    assert edges(settle_times(heard, window)) == pytest.approx([0.46, 0.91, 0.91, 1.1, 2.1, 2.66], abs=0.03)
    heard = [Word(0.4, 1.0, " it.", 0.9), Word(1.9, 2.2, " In", 0.9), Word(2.2, 2.6, " being", 0.9)]
    assert edges(settle_times(heard, window))[2:] == pytest.approx([2.1, 2.26, 2.26, 2.66], abs=0.03)


def test_without_a_pause_times_move_by_the_lead_of_attention() -> None:
    window = tones((0.0, 4.0))
    heard = [Word(0.5, 1.0, " Good", 0.9), Word(1.0, 1.5, " day", 0.9)]
    assert edges(settle_times(heard, window)) == pytest.approx([0.56, 1.06, 1.06, 1.56])


def test_a_distant_pause_does_not_move_a_word() -> None:
    window = tones((0.0, 3.0))
    [word] = settle_times([Word(0.2, 0.8, " Hm.", 0.9)], window)
    assert (word.start, word.end) == pytest.approx((0.26, 0.86))


def test_times_are_in_order_within_the_window() -> None:
    window = tones((0.0, 1.0), seconds=1.0)
    moments = edges(
        settle_times([Word(0.9, 0.9, " a", 0.9), Word(0.9, 5.0, " b", 0.9), Word(5.0, 9.0, " c", 0.9)], window)
    )
    assert moments == sorted(moments)
    assert moments[-1] <= 1.0


def test_a_word_stretched_over_a_noisy_pause_is_shortened() -> None:
    window = tones((0.0, 8.0), seconds=8.0)
    heard = [Word(0.1 * i, 0.1 * i + 0.1, " a", 0.9) for i in range(5)] + [Word(0.5, 0.6, " ends.", 0.9)]
    heard += [Word(0.6, 4.0, " And", 0.9), Word(4.0, 4.1, " on", 0.9)]
    assert settle_times(heard, window)[6].start > 3.5


@pytest.mark.parametrize(
    ("language", "tokens", "words"),
    [
        (
            "zh",
            "今|天|Mic|ros|oft|发|布|了| Windows| |11|，|气|温|38|.|5|度|。",
            "今|天|Microsoft|发|布|了| Windows| 11，|气|温|38.5|度。",
        ),
        ("zh", "他|说|：|“|好|。|”|我", "他|说：|“好。”|我"),
        ("zh", "well|-|known|的|人", "well-known|的|人"),
        ("ja", "彼|は|「|は|い|。|」|カ|ー|ッ|ト", "彼|は|「は|い。」|カーッ|ト"),
        ("th", "ปร|ะช|ุม|กา|ร| |ครับ", "ประชุม|การ| ครับ"),
        ("lo", "ສະ|ບ|າຍ|ດ|ີ", "ສະບາຍດີ"),
        ("my", "ဟု|တ|်|တယ|်|။", "ဟုတ်|တယ်။"),
        ("fr", " Ça| va| ?| «| Non| »", " Ça| va ?| « Non »"),
        ("en", " well|-known| f|(x|)| (|yes|)| -| no| half—full", " well-known| f(x)| (yes)| - no| half—full"),
    ],
)
def test_tokens_are_joined_where_no_line_may_break(language: str, tokens: str, words: str) -> None:
    spoken = [Word(index * 0.2, index * 0.2 + 0.2, token, 0.9) for index, token in enumerate(tokens.split("|"))]
    answer = window_result(Hypothesis((1,), tokens.replace("|", ""), 60.0, -0.1, 0.0), spoken, language, "transcribe")
    assert "|".join(word.word for word in answer.words) == words


@pytest.mark.parametrize("samples", [0, 10, 500])
def test_a_tiny_window_is_no_error(samples: int) -> None:
    assert settle_times([], np.zeros(samples, np.float32)) == []
    assert len(settle_times([Word(0.0, 0.0, " a", 0.9)], np.zeros(samples, np.float32))) == 1


def test_punctuation_belongs_to_its_word() -> None:
    words = [
        Word(0.0, 0.2, " “", 0.9),
        Word(0.2, 0.5, "Well", 0.8),
        Word(0.5, 0.6, "-known", 0.7),
        Word(0.6, 1.9, ".", 0.9),
        Word(2.0, 2.2, " 3", 0.9),
        Word(2.2, 2.4, ".5", 0.9),
    ]
    answer = window_result(Hypothesis((1,), "“Well-known. 3.5", 2.3, -0.1, 0.0), words, "en", "transcribe")
    assert [word.word for word in answer.words] == [" “Well-known.", " 3.5"]
    assert answer.words[0].end == 0.6, "a full stop is not spoken: the pause after it is not part of the word"
    assert answer.words[1].end == 2.3, "no word ends after its window"
