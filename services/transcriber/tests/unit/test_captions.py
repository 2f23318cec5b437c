"""Segments are caption-sized, end where sentences and breaths end, and lose no word."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.engines.base import Segment, Word
from transcriber.engines.captions import MAX_SECONDS, MAX_WIDTH, cut


def spoken(text: str, *, word_seconds: float = 0.3, pauses: dict[str, float] | None = None) -> list[Word]:
    """Words of equal length, one after the other; `pauses` gives seconds of silence after a word."""
    words, now = [], 0.0
    for token in text.split():
        words.append(Word(now, now + word_seconds, f" {token}", 0.9))
        now += word_seconds + (pauses or {}).get(token, 0.0)
    return words


def texts(segments: Iterable[Segment]) -> list[str]:
    return [segment.text for segment in segments]


def cut_words(words: list[Word], seconds: float = 30.0) -> tuple[Segment, ...]:
    return cut("".join(word.word for word in words).strip(), words, seconds)


def test_a_sentence_is_a_segment() -> None:
    words = spoken("The first sentence ends here. And the second one follows it.")
    assert texts(cut_words(words)) == ["The first sentence ends here.", "And the second one follows it."]


def test_a_long_pause_ends_a_segment() -> None:
    words = spoken("this goes on and then stops before it continues", pauses={"stops": 1.5})
    assert texts(cut_words(words)) == ["this goes on and then stops", "before it continues"]


def test_a_very_short_sentence_joins_the_next_one() -> None:
    assert texts(cut_words(spoken("Yes. I think that this is right."))) == ["Yes. I think that this is right."]


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    words = spoken("We asked Dr. Miller and J. Smith about it.")
    assert texts(cut_words(words)) == ["We asked Dr. Miller and J. Smith about it."]


def test_a_long_sentence_is_cut_at_a_comma_near_its_middle() -> None:
    text = (
        "When you upload an interview or a lecture or a meeting, "
        "the platform listens for speech and cuts the recording there"
    )
    assert texts(cut_words(spoken(text, word_seconds=0.2))) == [
        "When you upload an interview or a lecture or a meeting,",
        "the platform listens for speech and cuts the recording there",
    ]


def test_slow_speech_is_cut_by_time() -> None:
    segments = cut_words(spoken("one two three four five six", word_seconds=3.0))
    assert all(segment.end - segment.start <= MAX_SECONDS for segment in segments)


def test_chinese_characters_count_double() -> None:
    words = [Word(index * 0.1, index * 0.1 + 0.1, "语", 0.9) for index in range(60)]
    segments = cut_words(words)
    assert len(segments) == 2
    assert "".join(texts(segments)) == "语" * 60


def test_punctuation_belongs_to_its_word() -> None:
    words = [
        Word(0.0, 0.2, " “", 0.9),
        Word(0.2, 0.5, "Well", 0.8),
        Word(0.5, 0.6, "-known", 0.7),
        Word(0.6, 1.9, ".", 0.9),
        Word(2.0, 2.2, " 3", 0.9),
        Word(2.2, 2.4, ".5", 0.9),
    ]
    segments = cut_words(words)
    assert [word.word for segment in segments for word in segment.words] == [" “Well-known.", " 3.5"]
    assert segments[0].words[0].end == 0.6, "a full stop is not spoken: the pause after it is not part of the word"


def test_a_word_stretched_over_a_pause_is_shortened() -> None:
    words = spoken("It ends. And goes on some more", word_seconds=0.3)
    stretched = [*words[:2], Word(words[2].start, 4.0, " And", 0.9)]
    stretched += [Word(word.start + 3.1, word.end + 3.1, word.word, 0.9) for word in words[3:]]
    segments = cut_words(stretched)
    assert segments[0].end < 1.0
    assert segments[1].start > 3.0


def test_a_text_without_alignment_covers_the_window() -> None:
    assert cut("something", [], 4.0) == (Segment(0.0, 4.0, "something", ()),)


def test_silence_has_no_segments() -> None:
    assert cut("", [], 4.0) == ()


@given(
    lengths=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.text("ab,.? é语", min_size=1, max_size=12))),
    seconds=st.floats(0.1, 30),
)
def test_segments_keep_all_text_in_order_inside_the_window(
    lengths: list[tuple[float, float, str]], seconds: float
) -> None:
    words, now = [], 0.0
    for gap, length, text in lengths:
        words.append(Word(now + gap, now + gap + length, f" {text}", 0.5))
        now += gap + length
    segments = cut_words(words, seconds)
    said = "".join(word.word for word in words).split()
    assert " ".join(texts(segments)).split() == said or "".join(texts(segments)).replace(" ", "") == "".join(said)
    times = [moment for segment in segments for moment in (segment.start, segment.end)]
    assert times == sorted(times)
    assert all(0 <= moment <= seconds + 0.005 for moment in times)
    for segment in segments:
        assert len(segment.words) == 1 or segment.end - segment.start <= MAX_SECONDS + 0.1
        assert len(segment.words) == 1 or sum(len(word.word) for word in segment.words) <= MAX_WIDTH


@pytest.mark.parametrize("seconds", [0.05, 0.5])
def test_a_segment_has_a_length_even_in_a_tiny_window(seconds: float) -> None:
    [segment] = cut("Hm", [Word(seconds, seconds, " Hm", 0.5)], seconds)
    assert 0 <= segment.start < segment.end <= seconds
