"""A short soak by a fixed seed; `make soak` runs longer ones."""

import pytest

from support.chaos import Platform
from support.soak import Soak, schedule

pytestmark = [pytest.mark.chaos, pytest.mark.soak]

SECONDS, FAULTS, SEED = 30, 3, 20261122


def test_a_seed_always_gives_the_same_faults() -> None:
    assert schedule(SEED, ["jobs", "auth"]) == schedule(SEED, ["jobs", "auth"])
    assert schedule(SEED, ["jobs", "auth"]) != schedule(SEED + 1, ["jobs", "auth"])


async def test_short_soak_breaks_nothing(platform: Platform) -> None:
    report = await Soak(platform, seed=SEED, engine="canned").run(SECONDS, at_least=FAULTS)
    print(report.document())
    assert not report.broken, "\n".join(report.broken)
    assert report.injections.total() >= FAULTS
