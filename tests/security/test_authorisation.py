"""Who may do what: every operation of the gateway's document, tried by everybody who must not."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi.routing import APIWebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from auth.keys import Vault
from auth.tables import SigningKey
from gateway.routes import router
from native import bootstrap, postgres
from native.fleet import Fleet
from support.platform_client import PlatformClient
from support.recordings import RATE, encoded, speech
from support.surface import Operation, all_operations

pytestmark = pytest.mark.e2e

OPERATIONS = list(all_operations())
GUARDED = [operation for operation in OPERATIONS if operation.roles]
ADMINS = [operation for operation in GUARDED if operation.is_admins]
# Files that are everybody's who is signed in.
SHARED = ("/static/{path}",)
ABOUT_SOMETHING = [
    operation
    for operation in GUARDED
    if operation.names("path") and not operation.is_admins and operation.path not in SHARED
]
SOCKETS = [route.path for route in router.routes if isinstance(route, APIWebSocketRoute)]

# What strangers may do. Whatever else appears in the document must ask who is there.
OPEN = {
    "GET /.well-known/jwks.json",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "GET /version",
    "POST /register",
    "POST /token",
    "POST /token/refresh",
}
PASSWORD = "an unlikely phrase 4711"


@dataclass
class People:
    """Ada, who owns things, Bob, who does not, and strangers with something like Ada's token."""

    ada: PlatformClient
    bob: PlatformClient
    anybody: httpx.Client
    things: dict[str, str]
    strangers: dict[str, dict[str, str]]


def signed_up(fleet: Fleet, name: str) -> PlatformClient:
    """An ordinary user."""
    url = fleet.url("gateway")
    httpx.post(f"{url}/register", json={"username": name, "password": PASSWORD}, timeout=30).raise_for_status()
    return PlatformClient(url, name, PASSWORD)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def signing_key(fleet: Fleet) -> tuple[str, Ed25519PrivateKey]:
    """The key that auth signs with, opened as only auth can."""
    port = fleet.state.ports(postgres.NAME)[postgres.NAME]
    connection = await asyncpg.connect(
        postgres.service_url(port, "auth", bootstrap.role_password(fleet.state, "auth"), bootstrap.DATABASE).replace(
            "postgresql+asyncpg", "postgresql"
        )
    )
    try:
        row = await connection.fetchrow("SELECT kid, sealed_key FROM signing_keys WHERE signs_from <= now() LIMIT 1")
    finally:
        await connection.close()
    signer = Vault(fleet.state.secret("secret_key")).open(SigningKey(kid=row["kid"], sealed_key=row["sealed_key"]))
    return signer.kid, signer.key


def rewritten(token: str, **claims: Any) -> str:
    """The token with other claims under the old signature."""
    head, body, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    forged = base64.urlsafe_b64encode(json.dumps(said | claims).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{signature}"


def imitations(token: str, kid: str, key: Ed25519PrivateKey) -> dict[str, str]:
    """Tokens that look like a genuine one and must not be believed."""
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {"kid": kid, "typ": "at+jwt"}
    head, body, signature = token.split(".")
    past = {"iat": int(time.time()) - 7200, "exp": int(time.time()) - 3600}
    return {
        "expired": jwt.encode(claims | past, key, algorithm="EdDSA", headers=headers),
        "tampered signature": f"{head}.{body}.{signature[:10]}{'A' if signature[10] != 'A' else 'B'}{signature[11:]}",
        "tampered role": rewritten(token, role="admin"),
        "foreign key": jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers=headers),
        "unsigned": jwt.encode(claims, "", algorithm="none", headers=headers),
        "another audience": jwt.encode(claims | {"aud": "elsewhere"}, key, algorithm="EdDSA", headers=headers),
    }


@pytest.fixture(scope="module")
def people(quick_fleet: Fleet) -> Iterator[People]:
    ada, bob = signed_up(quick_fleet, "ada-of-rights"), signed_up(quick_fleet, "bob-of-rights")
    job = ada.submit("mine.wav", encoded(speech()[: 3 * RATE], "wav", "pcm_s16le"))
    ada.finished(job)
    verification = ada.http.post(f"/jobs/{job}/verify", json={"chunks": 1}).raise_for_status().json()
    key = ada.http.post("/api-keys", json={"name": "mine", "scopes": ["read"]}).raise_for_status().json()
    sessions = ada.http.get("/me/sessions").raise_for_status().json()["items"]
    me = ada.http.get("/me").raise_for_status().json()
    things = {"job_id": job, "key_id": key["id"], "session_id": sessions[0]["id"], "user_id": me["user_id"]}
    resumable = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000", "Upload-Metadata": "filename bWluZS53YXY="}
    begun = ada.http.post("/files", headers=resumable).raise_for_status().headers["location"]
    things |= {"verification_id": verification["id"]}
    things |= {"name": "source", "upload_id": begun.rpartition("/")[2]}
    kid, private = asyncio.run(signing_key(quick_fleet))
    strangers = {name: bearer(token) for name, token in imitations(ada.token, kid, private).items()}
    with httpx.Client(base_url=ada.url, timeout=30) as anybody:
        yield People(ada, bob, anybody, things, {"nobody": {}, "no token": bearer("x"), **strangers})
    ada.close()
    bob.close()


def test_only_what_is_meant_to_be_open_is_open() -> None:
    assert {str(operation) for operation in OPERATIONS if not operation.roles} == OPEN


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_nobody_gets_in_without_a_genuine_token(people: People, operation: Operation) -> None:
    request = operation.request(people.things)
    for who, headers in people.strangers.items():
        answer = people.anybody.request(**request, headers=headers)
        assert answer.status_code == 401, f"{who}: {answer.status_code} {answer.text}"
        if operation.method != "HEAD":
            wanted = {"nobody": "unauthorized", "expired": "token_expired"}.get(who, "invalid_token")
            assert (answer.headers["content-type"], answer.json()["code"]) == ("application/problem+json", wanted), who
        assert answer.headers["www-authenticate"].startswith("Bearer"), who


@pytest.mark.parametrize("operation", ADMINS, ids=str)
def test_users_cannot_do_what_administrators_do(people: People, operation: Operation) -> None:
    answer = people.bob.http.request(**operation.request(people.things))
    assert (answer.status_code, answer.json()["code"]) == (403, "admin_only"), answer.text


@pytest.mark.parametrize("operation", ABOUT_SOMETHING, ids=str)
def test_things_of_others_do_not_exist(people: People, operation: Operation) -> None:
    unknown = set(operation.names("path")) - set(people.things)
    assert not unknown, f"name one of Ada's things for {unknown} in the fixture people"
    answer = people.bob.http.request(**operation.request(people.things))
    assert answer.status_code == 404, f"{answer.status_code} {answer.text}"
    if operation.method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"


def test_nothing_of_all_that_changed_anything(people: People) -> None:
    assert people.ada.job(people.things["job_id"])["state"] == "completed"
    sessions = people.ada.http.get("/me/sessions").json()["items"]
    assert people.things["session_id"] in {session["id"] for session in sessions}
    keys = people.ada.http.get("/api-keys").json()["items"]
    assert people.things["key_id"] in {key["id"] for key in keys}
    assert people.bob.http.get("/jobs").json()["items"] == []


@pytest.mark.parametrize("path", SOCKETS)
def test_sockets_ask_who_is_there_before_they_open(people: People, path: str) -> None:
    address = people.ada.url.replace("http", "ws", 1) + path.format(**people.things)
    for headers in people.strangers.values():
        with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=bearer(people.bob.token)):
        pass
    # Of a thing of somebody else's a stranger hears that it is not there; what is nobody's is for administrators.
    assert refused.value.response.status_code == (404 if "{" in path else 403)


def test_there_are_sockets_to_try() -> None:
    assert {"/ws/logs/system", "/ws/logs/{job_id}"} <= set(SOCKETS)
