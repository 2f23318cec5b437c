"""Subtitles can be read: two lines at most, long enough, with a gap before the next."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from transcriber.text.cues import GAP, cues


def segment(start: float, end: float, text: str) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text}


def test_a_cue_lasts_as_long_as_reading_takes_if_possible() -> None:
    quick = "This was said much too quickly to be read."
    [alone] = cues([segment(1.0, 1.5, quick)], 60.0)
    assert alone.end == 1.0 + len(quick) / 20
    first, _ = cues([segment(1.0, 1.5, quick), segment(2.0, 3.0, "Yes.")], 60.0)
    assert first.end == 2.0 - GAP


def test_a_gap_between_two_cues_shortens_the_first_only_a_little() -> None:
    first, _ = cues([segment(1.0, 3.0, "Good day."), segment(3.0, 4.0, "Yes.")], 60.0)
    assert first.end == 3.0 - GAP
    blink, _ = cues([segment(1.0, 1.1, "Oh."), segment(1.1, 2.0, "Yes.")], 60.0)
    assert blink.end == 1.075


def test_no_cue_stays_longer_than_the_recording() -> None:
    [last] = cues([segment(1.0, 1.5, "This was said much too quickly to be read.")], 1.75)
    assert last.end == 1.75


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.02, 7)), max_size=20), st.floats(0, 1))
def test_cues_do_not_overlap_or_vanish_or_end_after_the_recording(
    lengths: list[tuple[float, float]], silence: float
) -> None:
    now, segments = 0.0, []
    for gap, length in lengths:
        segments.append(segment(round(now + gap, 3), round(now + gap + length, 3), "Some words."))
        now += gap + length
    duration = round(now + silence, 3)
    shown = list(cues(segments, duration))
    assert all(cue.end > cue.start for cue in shown)
    assert all(before.end <= after.start for before, after in pairwise(shown))
    assert all(cue.end <= duration for cue in shown)
