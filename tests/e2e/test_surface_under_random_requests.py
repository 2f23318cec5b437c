"""The document keeps its word: random requests to every operation get declared answers and never a failure of ours.

Requests are made by schemathesis from the document, seeded, so that a run can be repeated; some name things that exist.
"""

import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

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
RECORDING = encoded(speech()[: 2 * RATE], "wav", "pcm_s16le")
# A random administrator would guess these from the document's examples, and leave nothing to ask about.
PHRASES = {"delete all jobs", "delete all jobs and users"}

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")  # what tus sends
# Without the tool's own list of corner cases for each parameter, which takes minutes: random ones find the same sooner.
CONFIG = SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": False}}})
document = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs" / "openapi.json", config=CONFIG)
# What ends the platform is the last thing that an administrator does, in test_administration.py.
harmless = document.exclude(path=["/admin/restart", "/admin/shutdown"])


def is_plain(context: HasAPIOperation) -> bool:
    """Whether nothing can vary but names in the path: a few requests tell all there is to tell."""
    described = context.operation.definition.raw
    places = {parameter["in"] for parameter in described.get("parameters", ())}
    return "requestBody" not in described and places <= {"path"}


def is_for_admins(context: HasAPIOperation) -> bool:
    """Whether only administrators may call it."""
    wanted = context.operation.definition.raw.get("security", [])
    return ["admin"] in [roles for each in wanted for roles in each.values()]


class Caller:
    """Somebody with an account, whose session random requests may end, and whose things they may delete."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url = url
        self._account = (name, password)
        self._client = PlatformClient(url, name, password)
        self._things: dict[str, str] = {}
        self.session = requests.Session()

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()
        self.session.close()

    def refresh(self) -> None:
        """Sign in again if the session has ended, and forget what may be gone."""
        self._things.clear()
        if self._client.http.get("/me").status_code != 200:
            self._client.close()
            self._client = PlatformClient(self.url, *self._account)

    @property
    def token(self) -> str:
        """Of the present session."""
        return self._client.token

    def thing(self, name: str) -> str | None:
        """The id of something that exists; None if there is nothing of this kind to be had."""
        made = {"job_id": self._job, "user_id": self._victim}.get(name)
        if made is not None and name not in self._things:
            self._things[name] = made()
        return self._things.get(name)

    def _job(self) -> str:
        """A finished job: its stream of events ends."""
        jobs = self._client.http.get("/jobs", params={"limit": 1}).raise_for_status().json()["items"]
        job = jobs[0]["id"] if jobs else self._client.submit("a.wav", RECORDING)
        self._client.finished(job)
        return str(job)

    def _victim(self) -> str:
        """An account that random administrators may do anything to; it is never their own."""
        form = {"username": f"victim-{uuid4().hex}", "password": PASSWORD}
        answer = httpx.post(f"{self.url}/register", json=form, timeout=30)
        return str(answer.raise_for_status().json()["user_id"])


@pytest.fixture(scope="module")
def user(quick_fleet: Fleet) -> Iterator[Caller]:
    """An ordinary user."""
    url, form = quick_fleet.url("gateway"), {"username": "random-user", "password": PASSWORD}
    httpx.post(f"{url}/register", json=form, timeout=30).raise_for_status()
    with closing(Caller(url, form["username"], PASSWORD)) as caller:
        yield caller


@pytest.fixture(scope="module")
def admin(quick_fleet: Fleet) -> Iterator[Caller]:
    """The administrator."""
    with closing(Caller(quick_fleet.url("gateway"), *quick_fleet.credentials)) as caller:
        yield caller


@pytest.fixture
def as_user(user: Caller) -> Caller:
    """An ordinary user, signed in."""
    user.refresh()
    return user


@pytest.fixture
def as_admin(admin: Caller) -> Caller:
    """The administrator, signed in."""
    admin.refresh()
    return admin


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


@harmless.exclude(is_plain).parametrize()
@with_examples(8)
def test_random_requests_of_administrators_get_declared_answers(as_admin: Caller, case: Case[Any]) -> None:
    answered_as_declared(as_admin, case)


@harmless.include(is_plain).parametrize()
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
    """Make the request, every other time about something that exists, and compare the answer with the document."""
    if zlib.crc32(repr(case.path_parameters).encode()) % 2:
        for name in case.path_parameters:
            case.path_parameters[name] = caller.thing(name) or case.path_parameters[name]
    if isinstance(case.body, dict) and case.body.get("confirmation") in PHRASES:
        case.body["confirmation"] = "perhaps"
    headers = {"Authorization": f"Bearer {caller.token}"}
    case.call_and_validate(base_url=caller.url, session=caller.session, headers=headers, checks=CHECKS, timeout=30)
