"""The rate limit."""

import pytest

from common.testing import Clock
from gateway.edge import limits
from gateway.edge.limits import RateLimit
from gateway.errors import TooManyLogins


def test_flood_is_refused_with_retry_after() -> None:
    clock = Clock()
    limit = RateLimit(3, clock)
    for _ in range(3):
        limit.take("a")
    with pytest.raises(TooManyLogins) as stop:
        limit.take("a")
    assert stop.value.headers["Retry-After"] == "20"
    limit.take("b")

    clock.now += 20
    limit.take("a")
    with pytest.raises(TooManyLogins):
        limit.take("a")


def test_refused_requests_do_not_extend_the_wait() -> None:
    clock = Clock()
    limit = RateLimit(1, clock)
    limit.take("a")
    for _ in range(59):
        clock.now += 1
        with pytest.raises(TooManyLogins):
            limit.take("a")
    clock.now += 1
    limit.take("a")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CALLERS", 10)
    limit = RateLimit(1, Clock())
    for number in range(100):
        limit.take(str(number))
    with pytest.raises(TooManyLogins):
        limit.take("99")
    limit.take("0")
