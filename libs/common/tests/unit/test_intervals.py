"""Intervals are put in order, inside the recording."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from common.intervals import SHORTEST, in_order

Seconds = st.floats(0, 100, allow_nan=False)


def test_what_is_in_order_stays() -> None:
    assert in_order([(0.5, 1.0), (1.0, 2.25)], 2.25) == [(0.5, 1.0), (1.0, 2.25)]


def test_overlaps_begin_later_and_last_a_moment() -> None:
    assert in_order([(0.0, 3.0), (1.0, 2.0), (3.0, 4.0)], None) == [(0.0, 3.0), (3.0, 3.02), (3.02, 4.0)]


def test_what_passes_the_end_of_the_recording_moves_forward() -> None:
    assert in_order([(8.0, 9.9), (9.95, 10.4), (10.2, 10.5)], 10.0) == [(8.0, 9.9), (9.95, 9.98), (9.98, 10.0)]
    assert in_order([(3.0, 4.0), (5.0, 6.0)], 0.01) == [(0.0, 0.0), (0.0, 0.01)]


@given(st.lists(st.tuples(Seconds, Seconds), max_size=30), st.none() | Seconds)
def test_intervals_never_overlap_nor_pass_the_end(
    given_intervals: list[tuple[float, float]], end: float | None
) -> None:
    ordered = in_order(given_intervals, end)
    assert len(ordered) == len(given_intervals)
    edges = [edge for interval in ordered for edge in interval]
    assert edges == sorted(edges)
    assert all(edge >= 0 for edge in edges)
    if end is None:
        assert all(after - before >= SHORTEST - 0.0011 for before, after in ordered)
    else:
        assert all(edge <= round(end, 3) for edge in edges)
    assert all(before[1] <= after[0] for before, after in pairwise(ordered))
