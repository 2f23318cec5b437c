"""The transcript of a running job: finished chunks in order, and gaps."""

from typing import Any
from uuid import uuid4

import pytest

from jobs.schemas.transcripts import Transcript, of_ledger
from jobs.states import State
from jobs.tables import Chunk, Job


def row(chunk: int, begins: float | None, ends: float | None, *said: tuple[float, float, str], **more: Any) -> Chunk:
    """Return a ledger row; without segments it is not done, unless `done` is set."""
    state = "done" if said or more.pop("done", False) else "running"
    segments = [{"start": start, "end": end, "text": text} for start, end, text in said] if state == "done" else None
    return Chunk(chunk=chunk, start_seconds=begins, end_seconds=ends, state=state, segments=segments, **more)


def transcript(*rows: Chunk, planned: int | None = None, duration: float | None = None, **options: Any) -> Transcript:
    """Return the transcript of these rows."""
    job = Job(
        id=uuid4(),
        state=State.PROCESSING,
        chunks_planned=planned,
        duration_seconds=duration,
        language=options.get("language"),
        options={"task": options.get("task", "transcribe")},
    )
    return of_ledger(job, None, 1, rows)


def summary(found: Transcript) -> list[tuple[Any, ...]]:
    """Segments as (start, end, text), gaps as (start, end)."""
    return [
        (item.start, item.end, item.text) if item.type == "segment" else (item.start, item.end) for item in found.items
    ]


ONE, TWO, THREE = (1.0, 4.0, "one"), (61.0, 64.0, "two"), (121.0, 124.0, "three")


def test_an_unplanned_recording_is_one_gap_without_an_end() -> None:
    found = transcript()
    assert summary(found) == [(0.0, None)]
    assert not found.complete


def test_the_last_gap_ends_with_a_recording_of_known_length() -> None:
    assert summary(transcript(row(0, 0, 60, ONE), duration=300.0)) == [ONE, (60.0, 300.0)]


def test_an_unfinished_chunk_is_a_gap_of_its_length() -> None:
    found = transcript(row(0, 0, 60, ONE), row(1, 60, 120), row(2, 120, 180, THREE), planned=3, duration=180.0)
    assert summary(found) == [ONE, (60.0, 120.0), THREE]
    assert not found.complete
    assert found.text == "one three"


def test_adjacent_gaps_are_merged() -> None:
    found = transcript(row(0, 0, 60), row(1, 60, 120), row(2, 120, 180, THREE), planned=3)
    assert summary(found) == [(0.0, 120.0), THREE]
    assert summary(transcript(row(0, 0, 60, ONE), row(1, 60, 120), duration=300.0)) == [ONE, (60.0, 300.0)]


def test_an_early_result_leaves_a_gap_before_it() -> None:
    assert summary(transcript(row(0, 0, 60, ONE), row(2, 120, 180, THREE), duration=300.0)) == [
        ONE,
        (60.0, 120.0),
        THREE,
        (180.0, 300.0),
    ]
    assert summary(transcript(row(2, None, None, THREE))) == [(0.0, 121.0), THREE, (124.0, None)]


def test_a_finished_transcript_has_no_gaps_even_in_silence() -> None:
    silent = row(1, 60, 120, done=True)
    found = transcript(row(0, 0, 60, ONE), silent, row(2, 120, 180, THREE), planned=3, duration=400.0)
    assert found.complete
    assert summary(found) == [ONE, THREE]


def test_a_recording_without_speech_is_complete_and_empty() -> None:
    found = transcript(planned=0, duration=60.0)
    assert (found.complete, found.items, found.text) == (True, [], "")


def test_segments_do_not_overlap_and_are_not_empty() -> None:
    found = transcript(row(0, 0, 60, (1.0, 70.0, "one")), row(1, 60, 120, (61.0, 64.0, "two")), planned=2)
    assert summary(found) == [(1.0, 70.0, "one"), (70.0, 70.02, "two")]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (("one", "two"), "one two"),
        (("今日は。", "会議です。"), "今日は。会議です。"),
        (("ประชุม", "การตลาด"), "ประชุมการตลาด"),
        (("네.", "그래요."), "네. 그래요."),
        (("真的", "Americans"), "真的Americans"),
    ],
)
def test_the_text_is_joined_as_its_scripts_are_written(said: tuple[str, str], text: str) -> None:
    rows = row(0, 0, 60, (1.0, 4.0, said[0]), language="ja"), row(1, 60, 120, (61.0, 64.0, said[1]))
    assert transcript(*rows, planned=2, language="ja").text == text


def test_no_segment_ends_after_the_recording() -> None:
    rows = row(0, 0, 60, (1.0, 4.0, "one"), (59.9, 60.4, "two"), (60.1, 60.2, "three"))
    assert summary(transcript(rows, planned=1, duration=60.0)) == [
        (1.0, 4.0, "one"),
        (59.9, 59.98, "two"),
        (59.98, 60.0, "three"),
    ]
