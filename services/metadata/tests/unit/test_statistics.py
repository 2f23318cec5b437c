"""Statistics of transcripts."""

import json

import pytest

from metadata.errors import TranscriptUnreadable
from metadata.text.statistics import count_words, measure
from metadata.text.transcripts import Segment, Transcript, parse


def transcript(text: str, duration: float = 60.0, speech: float = 30.0, **fields: object) -> Transcript:
    return Transcript(duration_seconds=duration, speech_seconds=speech, text=text, segments=[], **fields)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Hello there.", 2),
        ("well - I don't know …", 4),
        ("今天天气很好。", 6),
        ("コーヒーを飲む", 7),
        ("GPU 很快", 3),
        ("안녕하세요 여러분", 2),
    ],
)
def test_words_are_counted_by_script(text: str, words: int) -> None:
    assert count_words(text) == words


def test_words_per_minute_exclude_pauses() -> None:
    statistics = measure(transcript("one two three four five six", duration=60.0, speech=12.0))
    assert statistics.words == 6
    assert statistics.words_per_minute == 30.0
    assert statistics.speech_ratio == 0.2


def test_silence_has_statistics() -> None:
    statistics = measure(transcript("", duration=0.0, speech=0.0))
    assert (statistics.speech_ratio, statistics.words_per_minute, statistics.words) == (0.0, 0.0, 0)


def test_speech_is_never_longer_than_the_recording() -> None:
    statistics = measure(transcript("hi", duration=1.0, speech=1.4))
    assert statistics.speech_ratio == 1.0
    assert statistics.speech_seconds == 1.0


def test_languages_are_listed_with_seconds_most_spoken_first() -> None:
    spoken = [("zh", 0.0, 4.0), ("en", 4.0, 14.5), ("zh", 15.0, 17.25), (None, 20.0, 21.0)]
    segments = [Segment(start=start, end=end, text="…", language=language) for language, start, end in spoken]
    statistics = measure(transcript("…", language="de").model_copy(update={"segments": segments}))
    assert statistics.languages == ["en", "zh", "de"]
    assert statistics.language_seconds == {"en": 10.5, "zh": 6.25, "de": 1.0}


def test_a_recording_without_segments_has_no_language() -> None:
    assert measure(transcript("", language="en")).languages == []


def test_unknown_fields_of_a_transcript_are_ignored() -> None:
    stored = {
        "version": 1,
        "language": "en",
        "task": "transcribe",
        "duration_seconds": 3,
        "speech_seconds": 2.5,
        "text": "Hello.",
        "engine": {"name": "ctranslate2"},
        "segments": [{"id": 0, "start": 0.0, "end": 2.0, "text": "Hello.", "confidence": 0.9}],
    }
    read = parse(json.dumps(stored).encode())
    assert read.text_language == "en"
    assert read.segments[0].end == 2.0


def test_text_of_a_translation_is_english() -> None:
    assert transcript("Good morning.", language="de", task="translate").text_language == "en"


@pytest.mark.parametrize("stored", [b"", b"not json", b"{}", b'{"text": "secret words", "segments": "secret words"}'])
def test_error_of_an_unreadable_transcript_does_not_quote_it(stored: bytes) -> None:
    with pytest.raises(TranscriptUnreadable) as raised:
        parse(stored)
    assert "secret" not in str(raised.value)
