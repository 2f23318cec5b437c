"""The sentences of a transcript with their start times."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from common.text.joining import separator
from common.text.sentences import sentence_ends

from .transcripts import Segment

_LONGEST = 600  # average characters of a sentence; a text above has no full stops


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its start in seconds of the recording."""

    start: float
    text: str


def split(segments: Sequence[Segment], language: str | None = None) -> list[Sentence]:
    """The sentences of all segments together; the segments themselves if the text has no full stops."""
    spoken = [Sentence(segment.start, " ".join(segment.text.split())) for segment in segments if segment.text.strip()]
    found = list(_across(spoken, language))
    if found and sum(len(each.text) for each in found) / len(found) > _LONGEST:
        return spoken
    return found


def _across(spoken: Sequence[Sentence], language: str | None) -> Iterator[Sentence]:
    gaps = ["", *(separator(before.text, after.text) for before, after in pairwise(spoken))]
    text = "".join(gap + each.text for gap, each in zip(gaps, spoken, strict=False))
    ends = accumulate(len(gap) + len(each.text) for gap, each in zip(gaps, spoken, strict=False))
    beginnings = [end - len(each.text) for end, each in zip(ends, spoken, strict=True)]
    start = 0
    for end in sentence_ends(text, language):
        if text[start:end].strip():
            yield Sentence(spoken[bisect_right(beginnings, start) - 1].start, text[start:end].strip())
        start = end
