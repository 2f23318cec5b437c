"""Subtitles can be read: two lines at most, long enough, with a gap before the next."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from transcriber.cues import GAP, cues, lines
from transcriber.segments import LINE_WIDTH, columns


def segment(start: float, end: float, text: str) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text}


def test_a_short_text_is_one_line() -> None:
    assert lines("Good day to you all.") == ("Good day to you all.",)


def test_a_long_text_breaks_near_its_middle_and_rather_after_a_comma() -> None:
    assert lines("When you upload an interview, the platform listens for speech") == (
        "When you upload an interview,",
        "the platform listens for speech",
    )


def test_a_text_without_spaces_breaks_between_characters_but_not_before_a_mark() -> None:
    first, second = lines("今日は天気がとてもいいので、公園まで歩いて行きましょうと言いました。")
    assert first + second == "今日は天気がとてもいいので、公園まで歩いて行きましょうと言いました。"
    assert max(columns(first), columns(second)) <= LINE_WIDTH
    assert second[0] not in "、。"


def test_a_cue_stays_as_long_as_reading_takes_where_there_is_time() -> None:
    quick = "This was said much too quickly to be read."
    [alone] = cues([segment(1.0, 1.5, quick)])
    assert alone.end == 1.0 + len(quick) / 20
    first, _ = cues([segment(1.0, 1.5, quick), segment(2.0, 3.0, "Yes.")])
    assert first.end == 2.0 - GAP


def test_between_two_cues_is_a_gap_that_takes_little_from_the_first() -> None:
    first, _ = cues([segment(1.0, 3.0, "Good day."), segment(3.0, 4.0, "Yes.")])
    assert first.end == 3.0 - GAP
    blink, _ = cues([segment(1.0, 1.1, "Oh."), segment(1.1, 2.0, "Yes.")])
    assert blink.end == 1.075


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.02, 7)), max_size=20))
def test_cues_neither_overlap_nor_vanish(lengths: list[tuple[float, float]]) -> None:
    now, segments = 0.0, []
    for gap, length in lengths:
        segments.append(segment(round(now + gap, 3), round(now + gap + length, 3), "Some words."))
        now += gap + length
    shown = list(cues(segments))
    assert all(cue.end > cue.start for cue in shown)
    assert all(before.end <= after.start for before, after in pairwise(shown))
