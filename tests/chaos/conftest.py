"""One platform for all faults that leave it healthy; each test begins with it well, and must leave it so."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.chaos import PATIENCE, Platform, faulty_platform
from support.fleets import in_turn
from support.soak import learn_undisturbed


@pytest.fixture(scope="session")
def shared_platform(native_state: Path) -> Iterator[Platform]:
    """The platform with the canned engine, two workers and a proxy before each server."""
    with in_turn(faulty_platform(native_state / "chaos")) as platform:
        learn_undisturbed(platform)
        yield platform


@pytest.fixture
async def platform(shared_platform: Platform) -> AsyncIterator[Platform]:
    """The shared platform, healthy before the test and after it."""
    shared_platform.accepted.clear()
    await shared_platform.healthy()
    yield shared_platform
    shared_platform.proxies.mend()
    for name in ("postgres", "rabbitmq", "seaweedfs", *shared_platform.services):
        await asyncio.wait_for(shared_platform.fleet.start(name), PATIENCE)
    await shared_platform.healthy()
