"""Summaries of transcripts."""

import random
import time

import pytest

from metadata.text.sentences import split
from metadata.text.summary import summarise
from metadata.text.transcripts import Segment, Transcript

ENGLISH = (
    "Good morning everybody. The printing press changed Europe. Before the printing press, books were copied by hand, "
    "and books were rare. Dr. Gutenberg built the printing press in Mainz. The Gutenberg Bible is the best known of "
    "his books. He died poor. Printing spread to Italy within twenty years. By 1500 there were more than a thousand "
    "printing presses in Europe, and millions of books had been printed. Reading became a habit of ordinary people. "
    "Thank you."
)
CHINESE = (
    "人工智能正在改变我们的生活。很多公司都在研究人工智能。医生说，人工智能很有用。"
    "机器学习是人工智能的基础，机器学习需要大量的数据。今天天气很好。我们下次再见。"
)


def transcript(text: str, language: str | None = "en", *, piece: int = 60) -> Transcript:
    """The text in segments that end anywhere, like captions."""
    words = text.split(" ") if " " in text else [text[at : at + 10] for at in range(0, len(text), 10)]
    segments, line = [], ""
    for word in words:
        line = f"{line} {word}".strip() if " " in text else word
        if len(line) >= piece or " " not in text:
            segments.append(line)
            line = ""
    segments += [line] if line else []
    times = [Segment(start=at * 4.0, end=at * 4.0 + 4, text=part) for at, part in enumerate(segments)]
    return Transcript(
        language=language, duration_seconds=len(times) * 4, speech_seconds=len(times) * 4, text=text, segments=times
    )


def test_summary_quotes_central_sentences_in_their_order() -> None:
    found = summarise(transcript(ENGLISH), 3)
    assert len(found) == 3
    assert [each.start for each in found] == sorted(each.start for each in found)
    assert all(each.text in ENGLISH for each in found)
    quoted = " ".join(each.text for each in found)
    assert "printing press" in quoted
    assert "Good morning" not in quoted
    assert "Thank you" not in quoted


def test_the_same_transcript_gives_the_same_summary() -> None:
    assert summarise(transcript(ENGLISH), 3) == summarise(transcript(ENGLISH), 3)


def test_a_sentence_begins_when_its_segment_does() -> None:
    spoken = transcript(ENGLISH)
    for sentence in split(spoken.segments):
        [segment] = [each for each in spoken.segments if each.start == sentence.start]
        assert set(sentence.text.split()[:1]) & set(segment.text.split())


def test_repeated_sentence_is_quoted_once() -> None:
    text = " ".join(["Our new harbour makes ships and sailors very happy indeed."] * 20 + [ENGLISH])
    found = [each.text for each in summarise(transcript(text), 5)]
    assert len(found) == len(set(found)) > 1


def test_abbreviations_end_no_sentence() -> None:
    assert "Dr. Gutenberg built the printing press in Mainz." in [
        each.text for each in split(transcript(ENGLISH).segments)
    ]


@pytest.mark.parametrize(
    ("language", "parts", "sentences"),
    [
        (
            "zh",
            ["今天天气很好。我们", "去公园玩。And so my", "fellow Americans."],
            ["今天天气很好。", "我们去公园玩。", "And so my fellow Americans."],
        ),
        ("ko", ["네. 저는 오늘", "학교에 갑니다. 서울"], ["네.", "저는 오늘 학교에 갑니다.", "서울"]),
        ("hi", ["मैं आज बाज़ार", "गया। तुम?"], ["मैं आज बाज़ार गया।", "तुम?"]),
        ("de", ["Am 3.", "Oktober kam Dr.", "Meier. Ja."], ["Am 3. Oktober kam Dr. Meier.", "Ja."]),
        ("en", ["So do", "I. He lives in the U.S.", "army."], ["So do I.", "He lives in the U.S. army."]),
    ],
)
def test_sentences_span_segments_in_every_script(language: str, parts: list[str], sentences: list[str]) -> None:
    segments = [Segment(start=at, end=at + 1, text=part) for at, part in enumerate(parts)]
    assert [each.text for each in split(segments, language)] == sentences


def test_at_most_a_third_of_a_short_text_is_quoted() -> None:
    assert len(summarise(transcript("We met the harbour master today. He was kind to us all."), 5)) == 1


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_limit_is_kept(limit: int) -> None:
    assert len(summarise(transcript(ENGLISH), limit)) == limit


def test_chinese_needs_no_spaces() -> None:
    found = [each.text for each in summarise(transcript(CHINESE, "zh"), 2)]
    assert len(found) == 2
    assert all(text in CHINESE and "人工智能" in text for text in found)


@pytest.mark.parametrize(("text", "language"), [("", "en"), ("…", "en"), ("ภาษาไทยไม่มีช่องว่าง", "th")])
def test_summary_is_empty_where_words_cannot_be_separated(text: str, language: str) -> None:
    assert [each.text for each in summarise(transcript(text, language), 5)] in ([], ["…"])


def test_segments_are_used_as_sentences_without_full_stops() -> None:
    text = ENGLISH.replace(".", "").replace(",", "").lower()
    found = summarise(transcript(" ".join([text] * 4)), 3)
    assert found
    assert all(len(each.text) < 100 for each in found)


def test_ten_hours_are_summarised_in_seconds() -> None:
    dice = random.Random(7)
    vocabulary = ["".join(dice.choices("abcdefghij", k=8)) for _ in range(8000)]
    said = [" ".join(dice.choices(vocabulary, k=10)).capitalize() + "." for _ in range(9000)]
    segments = [Segment(start=at * 4.0, end=at * 4.0 + 4, text=text) for at, text in enumerate(said)]
    spoken = Transcript(
        language="en", duration_seconds=36000, speech_seconds=36000, text=" ".join(said), segments=segments
    )
    began = time.monotonic()
    assert len(summarise(spoken, 5)) == 5
    assert time.monotonic() - began < 20
