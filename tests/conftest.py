"""The platforms of the end-to-end and security tests, and a user who is signed in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from native.fleet import Fleet
from support.fleets import canned_fleet, in_turn, real_fleet
from support.platform_client import PlatformClient


@pytest.fixture(scope="session")
def fleet(native_state: Path) -> Iterator[Fleet]:
    """The platform with real Whisper and two workers; more are there to be started by tests that want them."""
    with in_turn(real_fleet(native_state / "fleet")) as fleet:
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
