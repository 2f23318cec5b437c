"""The sentences of a transcript, each with the second at which it begins."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .transcripts import Segment

_WIDE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
# After a full stop there is a space and no small letter; after the full stops of Chinese and Japanese, nothing.
_END = re.compile(r"[.!?…؟।]+[\"'»”’)\]]*(?=\s+(?![a-zß-öø-ÿа-я]))|[。!?]+[」』”’)]*")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:\w|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|No|Nr|bzw|ca|Sra?|Mme|[Ee]tc)\.$")
_GAP_IN_WIDE = re.compile(rf"(?<=[{_WIDE}、。])\s+(?=[{_WIDE}])")
_LONGEST = 600  # characters of a sentence on average; above, the text has no full stops


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its beginning in seconds of the recording."""

    start: float
    text: str


def split(segments: Sequence[Segment]) -> list[Sentence]:
    """The sentences of all segments together; the segments themselves where nobody wrote full stops."""
    spoken = [Sentence(segment.start, " ".join(segment.text.split())) for segment in segments if segment.text.strip()]
    found = list(_across(spoken))
    if found and sum(len(each.text) for each in found) / len(found) > _LONGEST:
        return spoken
    return found


def _across(spoken: Sequence[Sentence]) -> Iterator[Sentence]:
    text = " ".join(each.text for each in spoken)
    beginnings = [0]
    for each in spoken[:-1]:
        beginnings.append(beginnings[-1] + len(each.text) + 1)
    start = 0
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        sentence = text[start:end].strip()
        if not sentence or _ABBREVIATION.search(sentence[-12:]):
            continue
        first = start + len(text[start:end]) - len(text[start:end].lstrip())
        yield Sentence(spoken[bisect_right(beginnings, first) - 1].start, _GAP_IN_WIDE.sub("", sentence))
        start = end
