"""Segments are caption-sized, end where sentences and breaths end, and lose no word."""

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from transcriber.engines.base import Word
from transcriber.segments import LINE_WIDTH, MAX_SECONDS, columns, cut


def spoken(text: str, *, word_seconds: float = 0.3, pauses: dict[str, float] | None = None) -> list[Word]:
    """Words of equal length, one after the other; `pauses` gives seconds of silence after a word."""
    words, now = [], 0.0
    for token in text.split():
        words.append(Word(now, now + word_seconds, f" {token}", 0.9))
        now += word_seconds + (pauses or {}).get(token, 0.0)
    return words


def texts(segments: Iterable[Sequence[Word]]) -> list[str]:
    return ["".join(word.word for word in segment).strip() for segment in segments]


def test_a_sentence_is_a_segment() -> None:
    words = spoken("The first sentence ends here. And the second one follows it.")
    assert texts(cut(words)) == ["The first sentence ends here.", "And the second one follows it."]


def test_a_long_pause_ends_a_segment() -> None:
    words = spoken("this goes on and then stops before it continues", pauses={"stops": 1.5})
    assert texts(cut(words)) == ["this goes on and then stops", "before it continues"]


def test_a_very_short_sentence_joins_the_next_one() -> None:
    assert texts(cut(spoken("Yes. I think that this is right."))) == ["Yes. I think that this is right."]


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    words = spoken("We asked Dr. Miller and J. Smith about it.")
    assert texts(cut(words)) == ["We asked Dr. Miller and J. Smith about it."]


def test_a_long_sentence_is_cut_at_a_comma_near_its_middle() -> None:
    text = (
        "When you upload an interview or a lecture or a meeting, "
        "the platform listens for speech and cuts the recording there"
    )
    assert texts(cut(spoken(text, word_seconds=0.2))) == [
        "When you upload an interview or a lecture or a meeting,",
        "the platform listens for speech and cuts the recording there",
    ]


def test_slow_speech_is_cut_by_time() -> None:
    segments = list(cut(spoken("one two three four five six", word_seconds=3.0)))
    assert all(segment[-1].end - segment[0].start <= MAX_SECONDS for segment in segments)


def test_chinese_characters_count_double() -> None:
    words = [Word(index * 0.1, index * 0.1 + 0.1, "语", 0.9) for index in range(60)]
    segments = list(cut(words))
    assert len(segments) == 2
    assert "".join(texts(segments)) == "语" * 60


def test_nothing_said_has_no_segments() -> None:
    assert list(cut([])) == []


@given(lengths=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.text("ab,.? é语", min_size=1, max_size=12))))
def test_segments_keep_all_words_in_order_and_fit_a_subtitle(lengths: list[tuple[float, float, str]]) -> None:
    words, now = [], 0.0
    for gap, length, text in lengths:
        words.append(Word(now + gap, now + gap + length, f" {text}", 0.5))
        now += gap + length
    segments = list(cut(words))
    assert [word for segment in segments for word in segment] == words
    for segment in segments:
        assert len(segment) == 1 or segment[-1].end - segment[0].start <= MAX_SECONDS
        assert len(segment) == 1 or sum(columns(word.word) for word in segment) <= 2 * (LINE_WIDTH + 1)
