"""Many who ask how the platform is cost it no more than one."""

import asyncio
from typing import Any

import pytest
from fastapi import Request

from gateway.relay import health
from gateway.relay.health import HealthReport

REQUEST = Request({"type": "http", "headers": []})


class Service:
    """Counts how often it is asked, and takes its time to answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_down = False

    async def check(self, _: Any) -> None:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.is_down:
            raise RuntimeError("down")


async def test_all_who_ask_at_once_get_the_answer_to_one_question() -> None:
    service = Service()
    report = HealthReport({"jobs": service.check}, 5.0, "1")
    answers = await asyncio.gather(*(report.now(REQUEST) for _ in range(100)))
    assert {answer.status for answer in answers} == {"ok"}
    assert service.asked == 1


async def test_the_answer_is_kept_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    report = HealthReport({"jobs": service.check}, 5.0, "1")
    await report.now(REQUEST)
    service.is_down = True
    assert (await report.now(REQUEST)).status == "ok"
    monkeypatch.setattr(health, "KEPT_SECONDS", 0.0)
    report = HealthReport({"jobs": service.check}, 5.0, "1")
    assert [(await report.now(REQUEST)).status for _ in range(2)] == ["unavailable"] * 2
    assert service.asked == 3


async def test_who_leaves_while_the_question_is_out_spoils_nothing() -> None:
    service = Service()
    report = HealthReport({"jobs": service.check}, 5.0, "1")
    first, second = (asyncio.create_task(report.now(REQUEST)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).status == "ok"
