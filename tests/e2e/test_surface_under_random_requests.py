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
from schemathesis.filters import HasAPIOperation
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
# A random administrator would guess these from the document's examples, and leave nothing to ask about.
PHRASES = {"delete all jobs", "delete all jobs and users"}

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")  # what tus sends
# Without the tool's own list of corner cases for each parameter, which takes minutes: random ones find the same sooner.
CONFIG = SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": False}}})
document = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs" / "openapi.json", config=CONFIG)


def is_plain(context: HasAPIOperation) -> bool:
    """Whether nothing can vary but names in the path: a few requests tell all there is to tell."""
    operation = context.operation
    return not operation.body and not operation.query and not operation.headers


def is_for_admins(context: HasAPIOperation) -> bool:
    """Whether only administrators may call it."""
    wanted = context.operation.definition.raw.get("security", [])
    return ["admin"] in [roles for each in wanted for roles in each.values()]


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


@pytest.fixture(scope="module")
def user(own_fleet: Fleet) -> tuple[str, str]:
    """Name and password of an ordinary account."""
    form = {"username": "random-user", "password": PASSWORD}
    httpx.post(f"{own_fleet.url('gateway')}/register", json=form, timeout=30).raise_for_status()
    return form["username"], form["password"]


@pytest.fixture
def as_user(own_fleet: Fleet, user: tuple[str, str]) -> Iterator[Caller]:
    """An ordinary user."""
    yield from signed_in(own_fleet, user)


@pytest.fixture
def as_admin(own_fleet: Fleet) -> Iterator[Caller]:
    """The administrator."""
    yield from signed_in(own_fleet, own_fleet.credentials)


_clients: dict[str, PlatformClient] = {}


def signed_in(fleet: Fleet, credentials: tuple[str, str]) -> Iterator[Caller]:
    """A caller with a session and a finished job, both new if random requests have ended the ones before."""
    client = _clients.get(credentials[0])
    if client is None or client.http.get("/me").status_code != 200:
        client = _clients[credentials[0]] = PlatformClient(fleet.url("gateway"), *credentials)
    jobs = client.http.get("/jobs", params={"limit": 1}).raise_for_status().json()["items"]
    job = jobs[0]["id"] if jobs else client.submit("a.wav", encoded(speech()[: 2 * RATE], "wav", "pcm_s16le"))
    client.finished(job)  # its stream of events ends
    victim = {"username": "random-victim", "password": PASSWORD}
    answer = httpx.post(f"{client.url}/register", json=victim, timeout=30)
    if answer.status_code == 201:
        _victims.append(answer.json()["user_id"])
    with requests.Session() as session:
        yield Caller(client, session, {"job_id": job, "user_id": _victims[-1]})


# The account that random administrators may do anything to, and its successors; it is never their own.
_victims: list[str] = []


def with_examples(number: int) -> settings:
    """So many requests, the same in every run."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@document.exclude(is_plain).parametrize()
@with_examples(8)
def test_random_requests_of_administrators_get_declared_answers(as_admin: Caller, case: Case[Any]) -> None:
    answered_as_declared(as_admin, case)


@document.include(is_plain).parametrize()
@with_examples(3)
def test_plain_requests_of_administrators_get_declared_answers(as_admin: Caller, case: Case[Any]) -> None:
    answered_as_declared(as_admin, case)


@document.exclude(is_plain).exclude(is_for_admins).parametrize()
@with_examples(8)
def test_random_requests_of_users_get_declared_answers(as_user: Caller, case: Case[Any]) -> None:
    answered_as_declared(as_user, case)


@document.include(is_plain).exclude(is_for_admins).parametrize()
@with_examples(3)
def test_plain_requests_of_users_get_declared_answers(as_user: Caller, case: Case[Any]) -> None:
    answered_as_declared(as_user, case)


@document.include(is_for_admins).parametrize()
@with_examples(2)
def test_what_only_administrators_may_is_refused_as_declared(as_user: Caller, case: Case[Any]) -> None:
    answered_as_declared(as_user, case)


def answered_as_declared(caller: Caller, case: Case[Any]) -> None:
    """Make the request and compare the answer with the document."""
    _name_things(case, caller.things)
    if isinstance(case.body, dict) and case.body.get("confirmation") in PHRASES:
        case.body["confirmation"] = "perhaps"
    headers = {"Authorization": f"Bearer {caller.client.token}"}
    url = caller.client.url
    case.call_and_validate(base_url=url, session=caller.session, headers=headers, checks=CHECKS, timeout=30)


def _name_things(case: Case[Any], things: dict[str, Any]) -> None:
    """Let every other request be about something that exists."""
    for name, value in things.items():
        if name in case.path_parameters and zlib.crc32(repr(case.path_parameters).encode()) % 2:
            case.path_parameters[name] = value
