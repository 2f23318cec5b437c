"""The health report is shared by simultaneous requests."""

import asyncio
from typing import Any

import pytest
from fastapi import Request

from gateway.relay import health
from gateway.relay.health import HealthReport

REQUEST = Request({"type": "http", "headers": []})


class Service:
    """Counts its checks, and answers slowly."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_down = False

    async def check(self, _: Any) -> None:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.is_down:
            raise RuntimeError("down")


async def test_simultaneous_requests_share_one_check() -> None:
    service = Service()
    report = HealthReport({"jobs": service.check}, 5.0, "1")
    answers = await asyncio.gather(*(report.now(REQUEST) for _ in range(100)))
    assert {answer.status for answer in answers} == {"ok"}
    assert service.asked == 1


async def test_report_is_cached_for_a_short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    report = HealthReport({"jobs": service.check}, 5.0, "1")
    await report.now(REQUEST)
    service.is_down = True
    assert (await report.now(REQUEST)).status == "ok"
    monkeypatch.setattr(health, "CACHE_SECONDS", 0.0)
    report = HealthReport({"jobs": service.check}, 5.0, "1")
    assert [(await report.now(REQUEST)).status for _ in range(2)] == ["unavailable"] * 2
    assert service.asked == 3


async def test_cancelled_request_does_not_disturb_the_others() -> None:
    service = Service()
    report = HealthReport({"jobs": service.check}, 5.0, "1")
    first, second = (asyncio.create_task(report.now(REQUEST)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).status == "ok"
