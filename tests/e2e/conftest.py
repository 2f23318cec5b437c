"""The platform with the default engine for the end-to-end tests, and a user who is signed in to it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from native.fleet import Fleet
from support.fleets import canned_fleet, in_turn, running_fleet
from support.platform_client import PlatformClient


@pytest.fixture(scope="session")
def fleet(native_state: Path) -> Iterator[Fleet]:
    """The platform with CTranslate2 and two workers; a third is there to be started by tests that want it."""
    with in_turn(running_fleet(native_state / "fleet", "ctranslate2", transcribers=3)) as fleet:
        asyncio.run(fleet.stop(fleet.transcribers[2]))
        yield fleet


@pytest.fixture
def user(fleet: Fleet) -> Iterator[PlatformClient]:
    """The admin, signed in."""
    client = PlatformClient(fleet.url("gateway"), *fleet.credentials)
    yield client
    client.close()


@pytest.fixture(scope="session")
def quick_fleet(native_state: Path) -> Iterator[Fleet]:
    """The platform with the canned engine, for tests of its surface."""
    with in_turn(canned_fleet(native_state / "quick")) as fleet:
        yield fleet
