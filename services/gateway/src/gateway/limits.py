"""A limit on how often one address may ask, kept in this process: a first fence before the services' own."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from .errors import TooManyLogins

MAX_ADDRESSES = 10_000


class RateLimit:
    """A token bucket per address: `per_minute` requests a minute on average, as many at once after a pause.

    Auth counts failed logins in its database, where all replicas see them; this only keeps a flood from reaching it.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60.0
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> None:
        """Count one request; raises TooManyLogins with Retry-After when the address has used up its share."""
        now = self._clock()
        left, since = self._buckets.pop(address, (self._capacity, now))
        left = min(self._capacity, left + (now - since) * self._per_second)
        allowed = left >= 1.0
        self._buckets[address] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1.0 - left) / self._per_second))
            raise TooManyLogins(
                f"Too many requests from your address; try again in {wait} seconds.", headers={"Retry-After": str(wait)}
            )
