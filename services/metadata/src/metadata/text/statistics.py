"""Counts and rates of a transcript."""

import re
from collections import defaultdict
from dataclasses import dataclass

from .transcripts import Transcript

# Scripts without spaces between words: each character counts as a word, as in word processors.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts and rates of one transcript; the speech ratio is between 0 and 1."""

    duration_seconds: float
    speech_seconds: float
    speech_ratio: float
    segments: int
    words: int
    words_per_minute: float
    languages: list[str]  # most spoken first
    language_seconds: dict[str, float]


def count_words(text: str) -> int:
    """Number of words separated by spaces, plus every Chinese character and Japanese kana."""
    spaced = _UNSPACED.sub(" ", text)
    return len(_UNSPACED.findall(text)) + sum(any(map(str.isalnum, token)) for token in spaced.split())


def measure(transcript: Transcript) -> Statistics:
    """Statistics of a transcript; words per minute of speech, without pauses."""
    duration = transcript.duration_seconds
    # Voice activity is padded at both ends, so its sum may exceed the length of a very short recording.
    speech = min(transcript.speech_seconds, duration)
    words = count_words(transcript.text)
    languages = _languages(transcript)
    return Statistics(
        duration_seconds=round(duration, 3),
        speech_seconds=round(speech, 3),
        speech_ratio=round(speech / duration, 4) if duration else 0.0,
        segments=len(transcript.segments),
        words=words,
        words_per_minute=round(words / (speech / 60), 1) if speech else 0.0,
        languages=list(languages),
        language_seconds=languages,
    )


def _languages(transcript: Transcript) -> dict[str, float]:
    """Seconds of the segments by language; a segment without one has that of the transcript."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for segment in transcript.segments:
        if language := segment.language or transcript.language:
            seconds[language] += segment.end - segment.start
    return {language: round(seconds[language], 3) for language in sorted(seconds, key=lambda each: -seconds[each])}
