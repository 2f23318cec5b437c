"""Round robin over owners, then over each owner's queues; a long queue starves no other."""

from collections import Counter
from uuid import UUID

from jobs.scheduling.fairness import FairQueue, take_turns

ANN, BOB, CYD = (UUID(int=number) for number in (1, 2, 3))


def queue(owner: UUID, name: str, length: int, *, busy: int = 0, served: float = 0.0) -> FairQueue[str]:
    return FairQueue(owner, [f"{name}{number}" for number in range(length)], busy, served)


def test_owners_take_turns_then_their_queues() -> None:
    queues = [queue(ANN, "a", 9), queue(ANN, "b", 9), queue(BOB, "c", 9)]
    assert take_turns(queues, limit=8, window=4) == ["a0", "c0", "b0", "c1", "a1", "c2", "b1", "c3"]


def test_a_queue_never_exceeds_its_window() -> None:
    assert take_turns([queue(ANN, "a", 100)], limit=50, window=4) == ["a0", "a1", "a2", "a3"]
    assert take_turns([queue(ANN, "a", 100, busy=3)], limit=50, window=4) == ["a0"]
    assert take_turns([queue(ANN, "a", 100, busy=4)], limit=50, window=4) == []


def test_items_in_progress_count_against_the_limit() -> None:
    assert take_turns([queue(ANN, "a", 9, busy=2), queue(BOB, "b", 9)], limit=3, window=4) == ["b0"]
    assert take_turns([queue(ANN, "a", 9, busy=5)], limit=3, window=9) == []


def test_an_owner_with_less_in_progress_catches_up_first() -> None:
    queues = [queue(ANN, "a", 9, busy=3, served=10), queue(BOB, "b", 9, busy=0, served=20)]
    assert take_turns(queues, limit=7, window=9) == ["b0", "b1", "b2", "a0"]


def test_single_turns_alternate() -> None:
    """With a single worker each round dispatches one chunk; the time of the last turn keeps it fair."""
    served = {"a": 0.0, "b": 0.0, "c": 0.0}
    owners = {"a": ANN, "b": ANN, "c": BOB}
    order: list[str] = []
    for moment in range(1, 13):
        queues = [FairQueue(owners[name], [name], 0, served[name]) for name in served]
        (turn,) = take_turns(queues, limit=1, window=4)
        served[turn] = float(moment)
        order.append(turn)
    assert Counter(owners[name] for name in order) == {ANN: 6, BOB: 6}
    assert Counter(order) == {"a": 3, "b": 3, "c": 6}


def test_ten_queues_of_one_owner_get_as_much_as_one_of_another() -> None:
    queues = [queue(ANN, f"a{number}-", 50) for number in range(10)] + [queue(BOB, "b", 50)]
    turns = take_turns(queues, limit=16, window=8)
    assert Counter(turn[0] for turn in turns) == {"a": 8, "b": 8}


def test_fairness_leaves_no_capacity_idle() -> None:
    queues = [queue(ANN, "a", 1), queue(BOB, "b", 9), queue(CYD, "c", 0)]
    assert take_turns(queues, limit=6, window=9) == ["a0", "b0", "b1", "b2", "b3", "b4"]


def test_without_queues_there_are_no_turns() -> None:
    assert take_turns([], limit=4, window=4) == []


def test_a_heavy_queue_gets_more_turns_and_a_light_one_does_not_starve() -> None:
    """With one turn per second, the shares follow the weights."""
    served = {"light": 0.0, "heavy": 0.0}
    weights = {"light": 1.0, "heavy": 4.0}
    order: list[str] = []
    for moment in range(1, 101):
        queues = [FairQueue(ANN, [name], 0, served[name], weights[name]) for name in served]
        (turn,) = take_turns(queues, limit=1, window=4, now=float(moment))
        served[turn] = float(moment)
        order.append(turn)
    assert 15 <= Counter(order)["light"] <= 25


def test_a_heavy_queue_gets_its_share_of_many_turns() -> None:
    queues = [
        FairQueue(ANN, [f"{name}{n}" for n in range(20)], 0, 0.0, weight) for name, weight in (("h", 4.0), ("l", 1.0))
    ]
    assert Counter(turn[0] for turn in take_turns(queues, limit=10, window=20)) == {"h": 8, "l": 2}


def test_weights_apply_only_among_queues_of_one_owner() -> None:
    queues = [FairQueue(ANN, ["a0", "a1", "a2"], 0, 0.0, 4.0), FairQueue(BOB, ["b0", "b1", "b2"], 0, 0.0, 1.0)]
    assert Counter(turn[0] for turn in take_turns(queues, limit=4, window=4)) == {"a": 2, "b": 2}


def test_no_smaller_item_overtakes_a_large_one() -> None:
    large, small = FairQueue(ANN, ["a0", "a1"], sizes=[4, 4]), FairQueue(BOB, ["b0", "b1"], served=5.0, sizes=[1, 1])
    assert take_turns([large, small], limit=6, window=4) == ["a0", "b0"], (
        "the next turn is that of a1, for which there is no room"
    )
    assert take_turns([FairQueue(ANN, ["a"], sizes=[9]), FairQueue(BOB, ["b"], 1, load=1)], limit=6, window=4) == []
    assert take_turns([FairQueue(ANN, ["a"], sizes=[9])], limit=6, window=4) == ["a"], "when nothing else is busy"
