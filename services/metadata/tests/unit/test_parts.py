"""Parts of long transcripts for a language model."""

import pytest

from metadata.analysis.parts import cut, groups, tokens
from metadata.errors import AnalysisFailed
from metadata.text.transcripts import Segment, Transcript


def transcript(*texts: str) -> Transcript:
    segments = [Segment(start=float(at), end=at + 1.0, text=text) for at, text in enumerate(texts)]
    return Transcript(duration_seconds=60, speech_seconds=50, text=" ".join(texts), segments=segments)


@pytest.mark.parametrize("text", ["word " * 2000, "言葉" * 3000, "ß" * 5000, "🎙" * 3000])
def test_no_part_is_over_the_budget_and_nothing_is_lost(text: str) -> None:
    parts = cut(transcript(text, "The end."), 500, 1000)
    assert all(tokens(part) <= 500 for part in parts)
    assert "".join(parts).replace("\n", "").replace(" ", "") == (text + "The end.").replace(" ", "")


def test_parts_are_filled_evenly() -> None:
    parts = cut(transcript(*["Some words that were said."] * 120), 500, 10)
    sizes = [tokens(part) for part in parts]
    assert len(parts) == 3
    assert max(sizes) - min(sizes) < 100


def test_short_transcript_is_one_part() -> None:
    assert cut(transcript("One.", "Two."), 500, 10) == ["One.\nTwo."]


def test_ten_hours_stay_within_the_parts_allowed_by_default() -> None:
    spoken = ["So that is about what people say in the four seconds of a caption."] * 9000
    assert len(cut(transcript(*spoken), 12_000, 60)) < 30


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(AnalysisFailed, match="3 are allowed"):
        cut(transcript(*["Some words that were said."] * 1000), 500, 3)


@pytest.mark.parametrize("sizes", [[1, 1, 1], [9, 9, 9], [5, 5, 5, 5, 5], [100, 1, 100], [1, 1]])
def test_groups_cover_everything_in_order_and_get_fewer(sizes: list[int]) -> None:
    runs = list(groups(sizes, 10))
    assert [number for run in runs for number in run] == list(range(len(sizes)))
    assert len(runs) < len(sizes)
