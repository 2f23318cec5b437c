"""Turns go round owners first, then round each owner's lines, and a long line starves nobody."""

from collections import Counter
from uuid import UUID

from jobs.fairness import Line, take_turns

ANN, BOB, CYD = (UUID(int=number) for number in (1, 2, 3))


def line(owner: UUID, name: str, length: int, *, busy: int = 0, served: float = 0.0) -> Line[str]:
    return Line(owner, [f"{name}{number}" for number in range(length)], busy, served)


def test_owners_take_turns_then_their_lines() -> None:
    lines = [line(ANN, "a", 9), line(ANN, "b", 9), line(BOB, "c", 9)]
    assert take_turns(lines, limit=8, window=4) == ["a0", "c0", "b0", "c1", "a1", "c2", "b1", "c3"]


def test_a_line_never_has_more_than_its_window_out() -> None:
    assert take_turns([line(ANN, "a", 100)], limit=50, window=4) == ["a0", "a1", "a2", "a3"]
    assert take_turns([line(ANN, "a", 100, busy=3)], limit=50, window=4) == ["a0"]
    assert take_turns([line(ANN, "a", 100, busy=4)], limit=50, window=4) == []


def test_what_is_busy_counts_against_the_limit() -> None:
    assert take_turns([line(ANN, "a", 9, busy=2), line(BOB, "b", 9)], limit=3, window=4) == ["b0"]
    assert take_turns([line(ANN, "a", 9, busy=5)], limit=3, window=9) == []


def test_an_owner_with_less_in_hand_catches_up_first() -> None:
    lines = [line(ANN, "a", 9, busy=3, served=10), line(BOB, "b", 9, busy=0, served=20)]
    assert take_turns(lines, limit=7, window=9) == ["b0", "b1", "b2", "a0"]


def test_one_place_at_a_time_still_alternates() -> None:
    """With a single worker each round hands out one chunk; the memory of the last turn keeps it fair."""
    served = {"a": 0.0, "b": 0.0, "c": 0.0}
    owners = {"a": ANN, "b": ANN, "c": BOB}
    order: list[str] = []
    for moment in range(1, 13):
        lines = [Line(owners[name], [name], 0, served[name]) for name in served]
        (turn,) = take_turns(lines, limit=1, window=4)
        served[turn] = float(moment)
        order.append(turn)
    assert Counter(owners[name] for name in order) == {ANN: 6, BOB: 6}
    assert Counter(order) == {"a": 3, "b": 3, "c": 6}


def test_ten_lines_of_one_owner_get_as_much_as_one_line_of_another() -> None:
    lines = [line(ANN, f"a{number}-", 50) for number in range(10)] + [line(BOB, "b", 50)]
    turns = take_turns(lines, limit=16, window=8)
    assert Counter(turn[0] for turn in turns) == {"a": 8, "b": 8}


def test_nothing_is_left_idle_for_fairness() -> None:
    lines = [line(ANN, "a", 1), line(BOB, "b", 9), line(CYD, "c", 0)]
    assert take_turns(lines, limit=6, window=9) == ["a0", "b0", "b1", "b2", "b3", "b4"]


def test_no_lines_no_turns() -> None:
    assert take_turns([], limit=4, window=4) == []


def test_a_heavy_line_comes_more_often_and_a_light_one_does_not_starve() -> None:
    """One place at a time, one hand-out a second: shares follow the weights."""
    served = {"light": 0.0, "heavy": 0.0}
    weights = {"light": 1.0, "heavy": 4.0}
    order: list[str] = []
    for moment in range(1, 101):
        lines = [Line(ANN, [name], 0, served[name], weights[name]) for name in served]
        (turn,) = take_turns(lines, limit=1, window=4, now=float(moment))
        served[turn] = float(moment)
        order.append(turn)
    assert 15 <= Counter(order)["light"] <= 25


def test_of_many_places_a_heavy_line_gets_its_share() -> None:
    lines = [Line(ANN, [f"{name}{n}" for n in range(20)], 0, 0.0, weight) for name, weight in (("h", 4.0), ("l", 1.0))]
    assert Counter(turn[0] for turn in take_turns(lines, limit=10, window=20)) == {"h": 8, "l": 2}


def test_weights_count_only_among_the_lines_of_one_owner() -> None:
    lines = [Line(ANN, ["a0", "a1", "a2"], 0, 0.0, 4.0), Line(BOB, ["b0", "b1", "b2"], 0, 0.0, 1.0)]
    assert Counter(turn[0] for turn in take_turns(lines, limit=4, window=4)) == {"a": 2, "b": 2}


def test_large_things_wait_for_room_and_nobody_smaller_comes_first() -> None:
    large, small = Line(ANN, ["a0", "a1"], sizes=[4, 4]), Line(BOB, ["b0", "b1"], served=5.0, sizes=[1, 1])
    assert take_turns([large, small], limit=6, window=4) == ["a0", "b0"], "the next turn is a1's, which has no room"
    assert take_turns([Line(ANN, ["a"], sizes=[9]), Line(BOB, ["b"], 1, load=1)], limit=6, window=4) == []
    assert take_turns([Line(ANN, ["a"], sizes=[9])], limit=6, window=4) == ["a"], "when nothing else is busy"
