"""The document keeps its word: random requests to every operation get declared answers and never a failure of ours.

Requests are made by schemathesis from the document, seeded, so that a run can be repeated; some name things that exist.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import CheckContext, not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from native.fleet import Fleet
from support.fleets import canned_fleet
from support.platform_client import PlatformClient
from support.recordings import RATE, encoded, speech

pytestmark = pytest.mark.e2e


def every_status_is_named(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """No answer hides behind `default`, but for a method that the path does not have."""
    named = case.operation.definition.raw["responses"]
    if response.status_code != 405 and str(response.status_code) not in named:
        raise AssertionError(f"{response.status_code} is not declared, only {', '.join(named)}: {response.text}")


CHECKS = [
    every_status_is_named,
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
]
PASSWORD = "an unlikely phrase 4711"
# A random request may well ask for that, and the tests after it would have nobody to ask.
SUICIDAL = r"/admin/(shutdown|restart|reset)$"
STREAMS = r"/events$"
EXAMPLES = 10

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")  # what tus sends
# Without the tool's own list of corner cases for each parameter, which takes minutes: random ones find the same sooner.
CONFIG = SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": False}}})
whole = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs" / "openapi.json", config=CONFIG)
document = whole.exclude(path_regex=SUICIDAL).exclude(path_regex=STREAMS)


@dataclass
class Caller:
    """Somebody who is signed in, and what is theirs."""

    client: PlatformClient
    session: requests.Session
    things: dict[str, str]


@pytest.fixture(scope="module")
def own_fleet(native_state: Path) -> Iterator[Fleet]:
    """A platform that random administrators may do anything to."""
    with canned_fleet(native_state / "random") as fleet:
        yield fleet


@pytest.fixture(scope="module", params=["user", "admin"])
def credentials(request: pytest.FixtureRequest, own_fleet: Fleet) -> tuple[str, str]:
    """Name and password of an account of each role."""
    if request.param == "admin":
        return own_fleet.credentials
    form = {"username": "random-user", "password": PASSWORD}
    httpx.post(f"{own_fleet.url('gateway')}/register", json=form, timeout=30).raise_for_status()
    return form["username"], form["password"]


@pytest.fixture(scope="module")
def victim(own_fleet: Fleet) -> str:
    """The id of an account that random administrators may do anything to; it is never their own."""
    form = {"username": "random-victim", "password": PASSWORD}
    return str(httpx.post(f"{own_fleet.url('gateway')}/register", json=form, timeout=30).json()["user_id"])


@pytest.fixture
def caller(own_fleet: Fleet, credentials: tuple[str, str], victim: str) -> Iterator[Caller]:
    """A new session for each operation: random requests end theirs."""
    client = PlatformClient(own_fleet.url("gateway"), *credentials)
    jobs = client.http.get("/jobs", params={"limit": 1}).raise_for_status().json()["items"]
    job = jobs[0]["id"] if jobs else client.submit("a.wav", encoded(speech()[: 2 * RATE], "wav", "pcm_s16le"))
    with requests.Session() as session:
        yield Caller(client, session, {"job_id": job, "user_id": victim})
    client.close()


@document.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_random_requests_get_declared_answers(caller: Caller, case: Case[Any]) -> None:
    _name_things(case, caller.things)
    headers = {"Authorization": f"Bearer {caller.client.token}"}
    url = caller.client.url
    case.call_and_validate(base_url=url, session=caller.session, headers=headers, checks=CHECKS, timeout=30)


def _name_things(case: Case[Any], things: dict[str, Any]) -> None:
    """Let every other request be about something that exists."""
    for name, value in things.items():
        if name in case.path_parameters and zlib.crc32(repr(case.path_parameters).encode()) % 2:
            case.path_parameters[name] = value
