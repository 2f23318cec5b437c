"""Speech is found at any level, and spans are cut in silence."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.speech.detector import BLOCK, FRAME, SpeechDetector, levels
from transcriber.speech.spans import MIN_SILENCE, PADDING, SHARED, Span, SpeechTracker


def find(samples: Any) -> list[Span]:
    """The spans of a whole recording."""
    detector, tracker = SpeechDetector(), SpeechTracker()
    padded = np.pad(samples, (0, -len(samples) % FRAME)).astype(np.float32)
    spans: list[Span] = []
    for start in range(0, len(padded), BLOCK):
        block = padded[start : start + BLOCK]
        spans += tracker.feed(detector.probabilities(block), levels(block))
    return [*spans, *tracker.finish(len(samples))]


def track(probabilities: list[float], sound: list[float] | None = None, at_once: int = 1000) -> list[Span]:
    """The spans of given probabilities, fed in blocks of any size."""
    tracker = SpeechTracker()
    heights = sound or [0.1] * len(probabilities)
    spans: list[Span] = []
    for start in range(0, len(probabilities), at_once):
        end = start + at_once
        spans += tracker.feed(np.array(probabilities[start:end]), np.array(heights[start:end]))
    return [*spans, *tracker.finish(len(probabilities) * FRAME)]


def seconds(spans: list[Span]) -> float:
    return sum(span.length for span in spans) / SAMPLE_RATE


def test_speech_is_found_between_silences(speech: Any) -> None:
    pause = np.zeros(5 * SAMPLE_RATE, np.float32)
    spans = find(np.concatenate([pause, speech[: 10 * SAMPLE_RATE], pause]))
    assert 4.0 < spans[0].start / SAMPLE_RATE < 6.0
    assert 13.0 < spans[-1].end / SAMPLE_RATE < 16.0
    assert seconds(spans) > 8.0


@pytest.mark.parametrize("level", [1.0, 0.03, 0.005], ids=["as recorded", "-30 dB", "-46 dB"])
def test_quiet_speech_is_found_as_well_as_loud_speech(speech: Any, level: float) -> None:
    quiet = np.rint(speech * level * 32768).astype(np.float32) / 32768
    assert seconds(find(quiet)) > 0.97 * seconds(find(speech))


def test_silence_noise_and_tones_are_not_speech(tone: Any) -> None:
    rng = np.random.default_rng(3)
    assert find(np.zeros(20 * SAMPLE_RATE, np.float32)) == []
    for level in (0.0002, 0.002, 0.02, 0.1):
        noise = (level * rng.standard_normal(20 * SAMPLE_RATE)).astype(np.float32)
        assert seconds(find(noise)) < 1.0
    assert seconds(find(tone(20.0, hertz=1000.0))) < 1.0


def test_a_recording_shorter_than_a_frame_is_no_error() -> None:
    assert find(np.zeros(100, np.float32)) == []


def test_spans_do_not_depend_on_the_block_size(speech: Any) -> None:
    probabilities = SpeechDetector().probabilities(speech[: 40 * SAMPLE_RATE // FRAME * FRAME]).tolist()
    assert track(probabilities, at_once=1) == track(probabilities, at_once=77) == track(probabilities)


def test_the_detector_gives_the_same_result_in_blocks_as_at_once(speech: Any) -> None:
    whole = speech[: 8 * BLOCK] / np.abs(speech).max()  # loud enough not to be raised
    at_once = SpeechDetector().probabilities(whole)
    detector = SpeechDetector()
    in_blocks = np.concatenate(
        [detector.probabilities(whole[start : start + BLOCK]) for start in range(0, len(whole), BLOCK)]
    )
    assert np.allclose(at_once, in_blocks, atol=1e-5)


def test_a_short_gap_does_not_end_a_span() -> None:
    spans = track([0.0] * 50 + [0.9] * 30 + [0.1] * (MIN_SILENCE - 1) + [0.9] * 30 + [0.0] * 50)
    assert len(spans) == 1


def test_spans_are_padded_with_silence_and_meet_in_the_middle_of_short_gaps() -> None:
    first, second = track([0.0] * 50 + [0.9] * 30 + [0.0] * 10 + [0.9] * 30 + [0.0] * 50)
    assert first.start == 50 * FRAME - PADDING
    assert first.end == second.start == 85 * FRAME
    assert second.end == 120 * FRAME + PADDING


def test_padding_stays_within_the_recording() -> None:
    (span,) = track([0.9] * 30)
    assert (span.start, span.end) == (0, 30 * FRAME)


def test_a_long_span_is_cut_in_a_pause_when_there_is_one() -> None:
    probabilities = [0.9] * 700 + [0.1] * 4 + [0.9] * 800
    first, second = track(probabilities)
    assert not first.forced
    assert 700 * FRAME <= first.end <= 704 * FRAME
    assert second.start == first.end


def test_a_long_span_without_a_pause_is_cut_at_its_quietest_point_and_marked() -> None:
    sound = [0.1] * 1500
    sound[799:804] = [0.01] * 5
    first, second = track([0.9] * 1500, sound)
    assert first.forced
    assert not second.forced
    assert 799 * FRAME <= first.end - SHARED // 2 <= 804 * FRAME


def test_both_spans_include_the_speech_around_a_cut() -> None:
    spans = track([0.9] * 4000)
    assert len(spans) > 4
    for before, after in pairwise(spans):
        assert before.forced
        assert after.start == before.end - SHARED
        assert after.shared == SHARED
    assert spans[0].shared == 0


def test_no_span_is_longer_than_a_window_and_none_is_lost() -> None:
    rng = np.random.default_rng(11)
    for _ in range(5):
        probabilities = (rng.random(6000) ** 0.3).tolist()
        spans = track(probabilities, (0.1 * rng.random(6000)).tolist())
        assert all(0 < span.length <= 30 * SAMPLE_RATE for span in spans)
        assert all(first.end == second.start + second.shared for first, second in pairwise(spans) if first.forced)
        assert all(first.end <= second.start for first, second in pairwise(spans) if not first.forced)
        inside = np.zeros(6000 * FRAME, bool)
        for span in spans:
            inside[span.start : span.end] = True
        # A frame that starts a span cut off at its very end may be lost; whole spoken frames are not.
        spoken = np.flatnonzero(np.array(probabilities) >= 0.5)
        assert all(inside[frame * FRAME] for frame in spoken)
