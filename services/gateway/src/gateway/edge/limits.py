"""Rate limits, counted in the memory of this process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from common.web.errors import TooManyRequests
from gateway.errors import TooManyLogins

MAX_CALLERS = 10_000


class RateLimit:
    """A token bucket per caller: `per_minute` requests a minute on average and in a burst; 0 = unlimited.

    Each replica counts separately: this only protects the services from a flood. Hard limits are counted in a database
    (failed logins by auth, quotas by jobs).
    """

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        refusal: type[TooManyRequests] = TooManyLogins,
        whose: str = "from your address",
    ) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60.0
        self._clock = clock
        self._refusal = refusal
        self._whose = whose
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request; raises `refusal` with Retry-After when the caller has none left."""
        if not self._capacity:
            return
        now = self._clock()
        left, since = self._buckets.pop(caller, (self._capacity, now))
        left = min(self._capacity, left + (now - since) * self._per_second)
        allowed = left >= 1.0
        self._buckets[caller] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1.0 - left) / self._per_second))
            raise self._refusal(
                f"Too many requests {self._whose}; try again in {wait} seconds.", headers={"Retry-After": str(wait)}
            )
