"""Fair selection of the next items: round robin over owners, then over each owner's queues, whatever their length."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Generic, Literal, TypeVar
from uuid import UUID

T = TypeVar("T")

Priority = Literal["low", "normal", "high"]

PRIORITIES: Final[tuple[Priority, ...]] = ("low", "normal", "high")

DELAYS: Final = MappingProxyType({"low": timedelta(minutes=30), "normal": timedelta(), "high": timedelta(minutes=-30)})
"""Offset of a job's queue time among the jobs of its owner. It is finite, so that no priority starves another."""

WEIGHTS: Final = MappingProxyType({"low": 1.0, "normal": 2.0, "high": 4.0})
"""Shares of the workers among the running jobs of an owner."""


@dataclass(frozen=True, slots=True)
class FairQueue(Generic[T]):
    """Items of one owner that wait in order, e.g. the chunks of a job.

    `busy` is the number of the queue's items that are in progress and `load` their total size; `served` is the time of
    the queue's last turn, on any clock that grows (0 = never); `weight` is its share relative to the owner's other
    queues; `sizes` is the size of each waiting item (empty: 1 each).
    """

    owner: UUID
    waiting: Sequence[T]
    busy: int = 0
    served: float = 0.0
    weight: float = 1.0
    load: float | None = None
    sizes: Sequence[float] = ()

    def size(self, index: int) -> float:
        """Return the size of a waiting item."""
        return self.sizes[index] if self.sizes else 1.0


def take_turns(queues: Sequence[FairQueue[T]], *, limit: float, window: int, now: float = 0.0) -> list[T]:
    """Return the items to start now, in order.

    `limit` bounds the total size in progress, `window` the number of items in progress per queue. The next item waits
    until there is room: no smaller item overtakes it, and an item larger than the limit starts when nothing is in
    progress.

    The next owner is the one with the fewest items in progress, then the one whose last turn is the longest ago. Among
    the queues of that owner the same rule decides, with the number of items divided, and the wait multiplied, by the
    queue's weight: a queue of a greater weight is chosen more often, and no queue starves. From idle this is a plain
    round robin over owners and queues; after a disturbance it restores the shares. The queues carry the time of the
    last turn, so that the order stays fair when items are taken one at a time; `now` is the present time on that clock.
    """
    owner_busy: Counter[UUID] = Counter()
    owner_served: dict[UUID, float] = {}
    for queue in queues:
        owner_busy[queue.owner] += queue.busy
        owner_served[queue.owner] = max(owner_served.get(queue.owner, 0.0), queue.served)
    busy = [queue.busy for queue in queues]
    served = [queue.served for queue in queues]
    taken = [0] * len(queues)
    clock = max([now, *served])

    def turn(index: int) -> tuple[float, float, float, float, int]:
        owner = queues[index].owner
        weight = queues[index].weight
        waited = (clock - served[index]) * weight
        return (owner_busy[owner], owner_served[owner], busy[index] / weight, -waited, index)

    load = sum(queue.busy if queue.load is None else queue.load for queue in queues)
    turns: list[T] = []
    while load < limit:
        eligible = [i for i, queue in enumerate(queues) if busy[i] < window and taken[i] < len(queue.waiting)]
        if not eligible:
            break
        chosen = min(eligible, key=turn)
        queue = queues[chosen]
        size = queue.size(taken[chosen])
        if load and load + size > limit:
            break
        load += size
        turns.append(queue.waiting[taken[chosen]])
        clock += 1
        taken[chosen] += 1
        busy[chosen] += 1
        owner_busy[queue.owner] += 1
        served[chosen] = owner_served[queue.owner] = clock
    return turns
