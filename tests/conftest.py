"""The platforms of the end-to-end and security tests, and a user who is signed in."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from native.fleet import Fleet
from support.fleets import canned_fleet, in_turn, real_fleet
from support.people import SignUp, administrator, signed_up
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


@pytest.fixture(scope="module")
def admin(quick_fleet: Fleet) -> Iterator[PlatformClient]:
    """The administrator of that platform, signed in."""
    with administrator(quick_fleet) as client:
        yield client


@pytest.fixture(scope="module")
def sign_up(quick_fleet: Fleet) -> Iterator[SignUp]:
    """Registers users of that platform by name, signed in until the module's tests are over."""
    with ExitStack() as stack:

        def make(name: str) -> PlatformClient:
            client = signed_up(quick_fleet, name)
            stack.callback(client.close)
            return client

        yield make
