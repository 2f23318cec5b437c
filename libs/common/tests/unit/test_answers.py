"""Error responses in the OpenAPI document: those of every route, and those that a route adds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from common.web import AdminDep, Conflict, IdentityDep, Readiness, build_app, problems

MEDIA_TYPE = "application/problem+json"


class Locked(Conflict):
    """Somebody else holds it."""

    code = "locked"


@pytest.fixture(scope="module")
def app() -> FastAPI:
    router = APIRouter(tags=["things"])

    @router.get("/open/{number}", responses=problems(Locked))
    async def open_to_all(number: int) -> None: ...

    @router.get("/mine")
    async def mine(_: IdentityDep) -> None: ...

    @router.get("/admin/all")
    async def everything(_: AdminDep) -> None: ...

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    more = APIRouter()

    @more.put("/mine")
    async def change_mine() -> None: ...

    return build_app(name="things", title="T", lifespan=lifespan, routers=[router, more], readiness=Readiness())


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def codes(operation: dict[str, Any], status: str) -> set[str]:
    return set(operation["responses"].get(status, {}).get("content", {}).get(MEDIA_TYPE, {}).get("examples", ()))


def test_a_stated_problem_stands_in_the_document_with_an_example_of_the_service(document: dict[str, Any]) -> None:
    operation = document["paths"]["/open/{number}"]["get"]
    locked = operation["responses"]["409"]["content"][MEDIA_TYPE]["examples"]["locked"]["value"]
    assert (locked["status"], locked["service"], locked["detail"]) == (409, "things", "Somebody else holds it.")


def test_what_can_be_sent_can_be_invalid(document: dict[str, Any]) -> None:
    assert codes(document["paths"]["/open/{number}"]["get"], "422") == {"invalid_request"}
    assert codes(document["paths"]["/mine"]["get"], "422") == set()


def test_needed_tokens_and_roles_can_be_read_from_the_document(document: dict[str, Any]) -> None:
    operations = {path: document["paths"][path]["get"] for path in ("/open/{number}", "/mine", "/admin/all")}
    wanted = {path: operation.get("security") for path, operation in operations.items()}
    assert wanted == {"/open/{number}": None, "/mine": [{"HTTPBearer": []}], "/admin/all": [{"HTTPBearer": ["admin"]}]}
    assert [codes(operation, "401") for operation in operations.values()] == [set(), {"unauthorized"}, {"unauthorized"}]
    assert [codes(operation, "403") for operation in operations.values()] == [set(), set(), {"admin_only"}]


async def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://things.test") as client:
        answer = await client.patch("/mine")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT")
    assert answer.json()["code"] == "method_not_allowed"
