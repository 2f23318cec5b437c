"""Spans are packed into windows and chunks: complete, within limits, small ones first, deterministic."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.audio.peaks import Peaks
from transcriber.speech.analysis import Analysis, ChunkAudio
from transcriber.speech.packing import WINDOW, Packer, PlannedChunk
from transcriber.speech.spans import SHARED, Span


def pack(spans: list[Span]) -> list[PlannedChunk]:
    packer = Packer()
    return [chunk for span in spans for chunk in packer.push(span)[1]] + list(packer.finish())


def analyse(pcm: bytes, step: int = 32_000) -> tuple[Analysis, list[ChunkAudio]]:
    analysis = Analysis()
    found = [chunk for start in range(0, len(pcm), step) for chunk in analysis.feed(pcm[start : start + step])]
    return analysis, found + analysis.finish()


def pcm_of(samples: Any) -> bytes:
    return bytes(np.clip(np.rint(samples * 32767), -32768, 32767).astype("<i2").tobytes())


some_spans = st.lists(st.tuples(st.integers(0, 5 * SAMPLE_RATE), st.integers(1, WINDOW)), max_size=60).map(
    lambda pairs: (
        [
            Span(start, start + length)
            for (gap, length), start in zip(
                pairs, np.cumsum([g + n for g, n in pairs]) - [n for _, n in pairs], strict=True
            )
        ]
        if pairs
        else []
    )
)


@given(some_spans)
def test_every_sample_of_speech_is_in_exactly_one_window(spans: list[Span]) -> None:
    packed = [span for chunk in pack(spans) for window in chunk.windows for span in window.spans]
    assert sum(span.length for span in packed) == sum(span.length for span in spans)
    assert all(first.end <= second.start for first, second in pairwise(packed))


@given(some_spans)
def test_windows_and_chunks_keep_their_limits_and_are_numbered(spans: list[Span]) -> None:
    chunks = pack(spans)
    windows = [window for chunk in chunks for window in chunk.windows]
    assert all(0 < window.length <= WINDOW for window in windows)
    assert all(chunk.length <= 4 * WINDOW for chunk in chunks)
    assert [window.index for window in windows] == list(range(len(windows)))
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))


def test_the_first_chunks_are_small() -> None:
    spans = [Span(start * SAMPLE_RATE, (start + 28) * SAMPLE_RATE) for start in range(0, 600, 30)]
    assert [len(chunk.windows) for chunk in pack(spans)] == [1, 1, 2, 4, 4, 4, 4]


def test_a_cut_inside_speech_is_marked_and_shared_only_where_a_window_ends_with_it() -> None:
    second = SAMPLE_RATE
    left, right = Span(0, 20 * second, forced=True), Span(20 * second - SHARED, 40 * second, shared=SHARED)
    windows = [window for chunk in pack([left, right]) for window in chunk.windows]
    assert [window.forced_cut for window in windows] == [True, False]
    cut = 20 - SHARED / SAMPLE_RATE / 2
    assert [(window.document()["words_from"], window.document()["words_until"]) for window in windows] == [
        (None, cut),
        (cut, None),
    ]
    (together,) = pack([left, replace(right, end=29 * second)])
    assert together.windows[0].spans == (Span(0, 29 * second),)
    assert not together.windows[0].forced_cut


def test_speech_without_pauses_overlaps_where_it_is_cut(unbroken: Any) -> None:
    pcm = pcm_of(unbroken)
    found = analyse(pcm)[1]
    windows = [window for piece in found for window in piece.chunk.windows]
    assert [window.forced_cut for window in windows] == [True] * (len(windows) - 1) + [False]
    assert len(windows) > 2
    for before, after in pairwise(windows):
        assert before.end == after.start, "every moment's words are one window's"
        assert before.spans[-1].end - after.spans[0].start == SHARED
    for piece in found:
        spans = [span for window in piece.chunk.windows for span in window.spans]
        assert piece.pcm == b"".join(pcm[2 * span.start : 2 * span.end] for span in spans)


def test_the_meta_has_the_place_of_each_span() -> None:
    second = SAMPLE_RATE
    (chunk,) = pack([Span(second, 3 * second), Span(10 * second, 11 * second)])
    assert chunk.document() == {
        "chunk": 0,
        "windows": [
            {
                "index": 0,
                "spans": [
                    {"source_start": 1.0, "source_end": 3.0, "offset": 0.0},
                    {"source_start": 10.0, "source_end": 11.0, "offset": 2.0},
                ],
                "seconds": 3.0,
                "forced_cut": False,
                "words_from": None,
                "words_until": None,
            }
        ],
    }


def test_the_same_audio_gives_the_same_plan_however_it_arrives(speech: Any) -> None:
    pcm = pcm_of(np.concatenate([speech, np.zeros(50_000, np.float32), speech]))
    first, second = analyse(pcm), analyse(pcm, step=7_654)
    assert first[1] == second[1]
    assert first[0].peaks.document() == second[0].peaks.document()


def test_a_chunks_audio_is_its_spans_back_to_back(speech: Any) -> None:
    pcm = pcm_of(np.concatenate([np.zeros(80_000, np.float32), speech, np.zeros(80_000, np.float32), speech]))
    analysis, found = analyse(pcm)
    assert found
    for piece in found:
        spans = [span for window in piece.chunk.windows for span in window.spans]
        assert piece.pcm == b"".join(pcm[2 * span.start : 2 * span.end] for span in spans)
        assert sum(len(window) for window in piece.windows()) == piece.chunk.length
    assert analysis.duration_seconds == len(pcm) / 2 / SAMPLE_RATE
    assert analysis.speech_seconds == pytest.approx(sum(piece.chunk.speech_seconds for piece in found))


def test_memory_is_constant_over_long_silence_and_long_speech(speech: Any) -> None:
    analysis = Analysis()
    endless = pcm_of(speech[: 20 * SAMPLE_RATE])
    for _ in range(10):
        analysis.feed(bytes(20 * SAMPLE_RATE * 2))
    quiet = analysis.held_bytes
    for _ in range(20):
        analysis.feed(endless)
    assert quiet < 4 * SAMPLE_RATE * 2
    assert analysis.held_bytes < 180 * SAMPLE_RATE * 2


def test_peaks_are_the_lowest_and_highest_samples_in_eight_bits() -> None:
    peaks = Peaks()
    samples = np.zeros(2000, np.int16)
    samples[10], samples[900], samples[1700] = 32767, -32768, 256
    for start in range(0, 2000, 130):
        peaks.feed(samples[start : start + 130])
    document = peaks.document()
    assert document["data"] == [0, 127, -128, 0, 0, 1]
    assert document["length"] == 3
    assert document["sample_rate"] / document["samples_per_pixel"] == 20
