"""Problems: every error answer is a document that says enough to clients and nothing about our insides."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from pydantic import BaseModel, SecretStr
from structlog.testing import capture_logs

from common import web


class JobNotFound(web.NotFound):
    code = "job_not_found"


class Account(BaseModel):
    username: str
    password: SecretStr


router = APIRouter()
RAISED: dict[str, Exception] = {
    "bad-request": web.BadRequest("No."),
    "unauthorized": web.Unauthorized("No."),
    "forbidden": web.Forbidden("No."),
    "not-found": JobNotFound("There is no such job.", job_id=UUID(int=7)),
    "conflict": web.Conflict("No."),
    "too-large": web.TooLarge("No.", limit_bytes=10),
    "invalid": web.Invalid("No."),
    "too-many": web.TooManyRequests("No.", headers={"Retry-After": "17"}),
    "upstream": web.UpstreamFailed("No."),
    "unavailable": web.Unavailable("No."),
    "boom": RuntimeError("the password is swordfish"),
    "teapot": HTTPException(418, "short and stout", headers={"X-Spout": "yes"}),
    "sly": web.Problem("No.", status=200, code="fine", type="about:blank"),
}


@router.get("/raise/{name}")
async def raise_it(name: str) -> None:
    raise RAISED[name]


@router.get("/caused")
async def caused() -> None:
    try:
        raise ConnectionError("refused by 10.0.0.7\n[parameters: secret]")
    except ConnectionError as error:
        raise web.Unavailable("The database cannot be reached.") from error


@router.post("/accounts")
async def create_account(account: Account, limit: int) -> None:
    del account, limit


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = web.build_app(name="jobs", title="Jobs", lifespan=lifespan, routers=[router], readiness=web.Readiness())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://jobs") as client:
        yield client


async def test_a_problem_is_a_document_with_everything_a_client_needs(client: httpx.AsyncClient) -> None:
    response = await client.get("/raise/not-found", headers={"X-Request-ID": "r-1"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:verbatim:problem:job_not_found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no such job.",
        "code": "job_not_found",
        "service": "jobs",
        "request_id": "r-1",
        "job_id": str(UUID(int=7)),
    }


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("bad-request", 400, "bad_request"),
        ("unauthorized", 401, "unauthorized"),
        ("forbidden", 403, "forbidden"),
        ("conflict", 409, "conflict"),
        ("too-large", 413, "too_large"),
        ("invalid", 422, "invalid"),
        ("too-many", 429, "too_many_requests"),
        ("upstream", 502, "upstream_failed"),
        ("unavailable", 503, "unavailable"),
    ],
)
async def test_each_kind_has_its_status_and_code(client: httpx.AsyncClient, name: str, status: int, code: str) -> None:
    response = await client.get(f"/raise/{name}")
    assert (response.status_code, response.json()["status"], response.json()["code"]) == (status, status, code)


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("unauthorized", "WWW-Authenticate", "Bearer"),
        ("unavailable", "Retry-After", "5"),
        ("too-many", "Retry-After", "17"),
        ("teapot", "X-Spout", "yes"),
    ],
)
async def test_headers_come_along(client: httpx.AsyncClient, name: str, header: str, value: str) -> None:
    assert (await client.get(f"/raise/{name}")).headers[header] == value


async def test_extensions_cannot_change_what_the_problem_says_itself(client: httpx.AsyncClient) -> None:
    response = await client.get("/raise/sly")
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert response.json()["type"] == "urn:verbatim:problem:internal_error"


async def test_an_unexpected_error_tells_the_log_everything_and_the_client_nothing(client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        response = await client.get("/raise/boom")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "internal_error"
    assert response.json()["request_id"] == response.headers["X-Request-ID"]
    assert "swordfish" not in response.text
    assert "RuntimeError" not in response.text
    failure, access = logs
    assert (failure["event"], failure["exc_info"], failure["log_level"]) == ("request failed", True, "error")
    assert (access["status"], access["code"], access["log_level"]) == (500, "internal_error", "warning")


async def test_the_access_log_says_what_lay_behind_a_problem(client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        response = await client.get("/caused")
    assert "10.0.0.7" not in response.text
    [access] = logs
    assert (access["code"], access["cause"]) == ("unavailable", "ConnectionError: refused by 10.0.0.7")


async def test_a_request_that_does_not_fit_is_told_where(client: httpx.AsyncClient) -> None:
    response = await client.post("/accounts?limit=many", json={"password": ["swordfish"]})
    assert response.status_code == 422
    body = response.json()
    assert body["code"] == "invalid_request"
    errors = {error["location"]: error for error in body["errors"]}
    assert errors.keys() == {"query.limit", "body.username", "body.password"}
    assert errors["body.username"] == {"location": "body.username", "message": "Field required", "type": "missing"}
    assert "body.username: Field required" in body["detail"]
    assert "swordfish" not in response.text


async def test_broken_json_is_told_too(client: httpx.AsyncClient) -> None:
    response = await client.post("/accounts?limit=1", content=b"{", headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/accounts", 405, "method_not_allowed"),
        ("GET", "/raise/teapot", 418, "im_a_teapot"),
    ],
)
async def test_errors_of_the_framework_are_documents_too(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"], response.json()["service"]) == (status, code, "jobs")


async def test_a_method_that_is_not_allowed_names_those_that_are(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/accounts")).headers["allow"] == "POST"


def document() -> dict[str, Any]:
    app = web.build_app(name="jobs", title="Jobs", lifespan=lifespan, routers=[router], readiness=web.Readiness())
    assert app.openapi() is app.openapi()
    return app.openapi()


def test_the_api_document_declares_problems_and_only_them() -> None:
    operation = document()["paths"]["/accounts"]["post"]
    assert operation["responses"].keys() == {"200", "400", "422", "default"}
    assert operation["responses"]["default"]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    }
    assert "HTTPValidationError" not in document()["components"]["schemas"]


def test_operations_are_named_after_their_functions() -> None:
    assert document()["paths"]["/accounts"]["post"]["operationId"] == "create_account"
