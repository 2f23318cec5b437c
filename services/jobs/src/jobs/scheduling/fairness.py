"""Who is next: turns are taken by owners first, then by each owner's lines, however long a line is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line(Generic[T]):
    """Things of one owner that wait in order, e.g. the chunks of a job.

    `busy` counts the line's things that are being served now and `load` is how much they are together; `served` is when
    the line last had a turn, on any clock that grows (0 = never); `weight` is its share relative to the owner's other
    lines; `sizes` says how much each waiting thing is (left out: 1).
    """

    owner: UUID
    waiting: Sequence[T]
    busy: int = 0
    served: float = 0.0
    weight: float = 1.0
    load: float | None = None
    sizes: Sequence[float] = ()

    def size(self, index: int) -> float:
        """How much a waiting thing is."""
        return self.sizes[index] if self.sizes else 1.0


def take_turns(lines: Sequence[Line[T]], *, limit: float, window: int, now: float = 0.0) -> list[T]:
    """Return whose turn it is, in order.

    `limit` bounds how much is busy in all, `window` how many things of one line. Whoever's turn it is waits until there
    is room: nobody smaller comes first, and something too large for the limit comes when nothing else is busy.

    The owner with the fewest busy things is next, then the owner who waited longest for a turn; among the owner's lines
    the same rule decides, with what is busy divided and the wait multiplied by the line's weight: a heavy line comes
    more often, and no line waits for ever. From rest this is a plain round robin over owners and lines, and after a
    disturbance it restores the shares. The memory of the last turn is in the lines, so the order stays fair when one
    thing at a time is handed out; `now` is the present on their clock.
    """
    owner_busy: Counter[UUID] = Counter()
    owner_served: dict[UUID, float] = {}
    for line in lines:
        owner_busy[line.owner] += line.busy
        owner_served[line.owner] = max(owner_served.get(line.owner, 0.0), line.served)
    busy = [line.busy for line in lines]
    served = [line.served for line in lines]
    taken = [0] * len(lines)
    clock = max([now, *served])

    def turn(index: int) -> tuple[float, float, float, float, int]:
        owner = lines[index].owner
        weight = lines[index].weight
        waited = (clock - served[index]) * weight
        return (owner_busy[owner], owner_served[owner], busy[index] / weight, -waited, index)

    load = sum(line.busy if line.load is None else line.load for line in lines)
    turns: list[T] = []
    while load < limit:
        eligible = [i for i, line in enumerate(lines) if busy[i] < window and taken[i] < len(line.waiting)]
        if not eligible:
            break
        chosen = min(eligible, key=turn)
        line = lines[chosen]
        size = line.size(taken[chosen])
        if load and load + size > limit:
            break
        load += size
        turns.append(line.waiting[taken[chosen]])
        clock += 1
        taken[chosen] += 1
        busy[chosen] += 1
        owner_busy[line.owner] += 1
        served[chosen] = owner_served[line.owner] = clock
    return turns
