"""Segments are caption-sized, end with sentences and pauses, and lose no word."""

import re
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.decoding.segments import MAX_SECONDS, split
from transcriber.engines.base import Word
from transcriber.text.line_breaks import LINE_WIDTH, columns, wrap


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
    assert texts(split(words)) == ["The first sentence ends here.", "And the second one follows it."]


def test_a_long_pause_ends_a_segment() -> None:
    words = spoken("this goes on and then stops before it continues", pauses={"stops": 1.5})
    assert texts(split(words)) == ["this goes on and then stops", "before it continues"]


def test_a_very_short_sentence_joins_the_next_one() -> None:
    assert texts(split(spoken("Yes. I think that this is right."))) == ["Yes. I think that this is right."]


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    words = spoken("We asked Dr. Miller and J. Smith about it.")
    assert texts(split(words)) == ["We asked Dr. Miller and J. Smith about it."]


def test_a_long_sentence_is_cut_at_a_comma_near_its_middle() -> None:
    text = (
        "When you upload an interview or a lecture or a meeting, "
        "the platform listens for speech and cuts the recording there"
    )
    assert texts(split(spoken(text, word_seconds=0.2))) == [
        "When you upload an interview or a lecture or a meeting,",
        "the platform listens for speech and cuts the recording there",
    ]


def test_slow_speech_is_cut_by_time() -> None:
    segments = list(split(spoken("one two three four five six", word_seconds=3.0)))
    assert all(segment[-1].end - segment[0].start <= MAX_SECONDS for segment in segments)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "He does, and so do I.| We go home now, says Mr. Smith."),
        ("en", "They were rounder and less spiky.| and therefore easier to read in the U.S. army."),
        ("zh", "今天天气很好。|我们去公园玩。|大家都很高兴。"),
        ("zh", "好。我们走了吗？|他说：“明天再来。”|再见了朋友们！"),
        ("ja", "今日は晴れです。|「散歩に行きましょう。」|はい。そうしましょう。"),
        ("ko", " 네. 그래요.| 저는 학생입니다.| 서울에 삽니다."),
        ("ar", " مرحبا بكم في هذا اللقاء.| كيف حالكم اليوم يا أصدقاء؟"),
        ("hi", " मैं आज बाज़ार गया था।| तुम लोग कहाँ गए थे?"),
        ("am", " ዛሬ ጠዋት ወደ ገበያ ሄድኩኝ እኔ።| አንተስ ወዴት ሄድክ ዛሬ?"),
        ("de", " Am 3. Oktober kam Dr. Meier.| Er ging z.B. Im Mai wieder."),
        ("my", "ကျွန်တော်ကျောင်းသားပါ။|ရန်ကုန်မှာနေပါတယ်။"),
    ],
)
def test_sentences_of_every_script_are_segments(language: str, text: str) -> None:
    pieces = re.findall(r" ?[^ ]+", text.replace("|", "")) if " " in text else list(text.replace("|", ""))
    words = [Word(index * 0.2, index * 0.2 + 0.2, piece, 0.9) for index, piece in enumerate(pieces)]
    assert texts(split(words, language)) == [part.strip() for part in text.split("|")]


def test_a_word_wider_than_a_line_is_divided_with_its_time() -> None:
    khmer = "ថ្ងៃនេះយើងនឹងនិយាយអំពីផលិតផលថ្មីនៅក្នុងកិច្ចប្រជុំ" * 3
    segments = list(split([Word(0.0, 9.0, khmer, 0.9)]))
    assert "".join(texts(segments)) == khmer
    assert all(columns(line) <= LINE_WIDTH for text in texts(segments) for line in wrap(text))
    assert segments[-1][-1].end == 9.0
    assert len(segments) > 1


def test_chinese_characters_count_double() -> None:
    words = [Word(index * 0.1, index * 0.1 + 0.1, "语", 0.9) for index in range(60)]
    segments = list(split(words))
    assert len(segments) == 2
    assert "".join(texts(segments)) == "语" * 60


def test_no_words_give_no_segments() -> None:
    assert list(split([])) == []


@given(lengths=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.text("ab,.? é语", min_size=1, max_size=12))))
def test_segments_keep_all_words_in_order_and_fit_a_subtitle(lengths: list[tuple[float, float, str]]) -> None:
    words, now = [], 0.0
    for gap, length, text in lengths:
        words.append(Word(now + gap, now + gap + length, f" {text}", 0.5))
        now += gap + length
    segments = list(split(words))
    assert [word for segment in segments for word in segment] == words
    for segment, text in zip(segments, texts(segments), strict=True):
        assert len(segment) == 1 or segment[-1].end - segment[0].start <= MAX_SECONDS
        assert all(columns(line) <= LINE_WIDTH for line in wrap(text))
