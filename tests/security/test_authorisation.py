"""Who may do what: every operation of the gateway's document, tried by everybody who must not."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi.routing import APIWebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gateway.relay import surface
from gateway.routes.logs import router
from native.fleet import Fleet
from support.people import PASSWORD, administrator, bearer, made_key, signed_up, signing_key, user_id
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
    "POST /logout",
    "POST /register",
    "POST /token",
    "POST /token/refresh",
}


@dataclass
class People:
    """Ada, who owns things, Bob, who does not, and strangers with something like Ada's token."""

    ada: PlatformClient
    bob: PlatformClient
    anybody: httpx.Client
    things: dict[str, str]
    strangers: dict[str, dict[str, str]]


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
    kid, private = signing_key(quick_fleet)
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


@pytest.fixture(scope="module")
def lapsed(quick_fleet: Fleet) -> Iterator[dict[str, dict[str, str]]]:
    """Genuine tokens of people whose access has ended, and of one who must change the password, by what they are."""
    with administrator(quick_fleet) as admin:
        shown, made = {}, []
        for name in ("disabled", "deleted", "logged-out", "reset"):
            user = signed_up(quick_fleet, f"{name}-of-rights")
            shown[name], account = bearer(user.token), f"/admin/users/{user_id(user)}"
            made.append(user)
            match name:
                case "disabled":
                    admin.http.patch(account, json={"disabled": True}).raise_for_status()
                case "deleted":
                    admin.http.delete(account).raise_for_status()
                case "logged-out":
                    user.http.post("/logout").raise_for_status()
                case "reset":
                    one_time = admin.http.post(f"{account}/reset-password").raise_for_status().json()
                    again = PlatformClient(user.url, f"{name}-of-rights", one_time["one_time_password"])
                    made.append(again)
                    shown["must change"] = bearer(again.token)
        yield shown
        for user in made:
            user.close()


@pytest.fixture(scope="module")
def keys(quick_fleet: Fleet, people: People) -> Iterator[dict[str, dict[str, str]]]:
    """API keys by owner and scopes."""
    with administrator(quick_fleet) as admin:
        yield {
            "reader": bearer(made_key(people.ada, "read")["key"]),
            "writer": {"X-API-Key": made_key(people.ada, "write")["key"]},
            "admin's reader": bearer(made_key(admin, "read", "admin")["key"]),
            "admin's writer": bearer(made_key(admin, "write")["key"]),
        }


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_nobody_gets_in_whose_access_has_ended(
    people: People, lapsed: dict[str, dict[str, str]], operation: Operation
) -> None:
    request = operation.request(people.things)
    for who in ("disabled", "deleted", "logged-out", "reset"):
        answer = people.anybody.request(**request, headers=lapsed[who])
        assert answer.status_code == 401, f"{who}: {answer.status_code} {answer.text}"
        if operation.method != "HEAD":
            assert answer.json()["code"] == "session_ended", who


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_who_must_change_the_password_can_do_nothing_else(
    people: People, lapsed: dict[str, dict[str, str]], operation: Operation
) -> None:
    answer = people.anybody.request(**operation.request(people.things), headers=lapsed["must change"])
    if str(operation) == "GET /me":
        assert answer.status_code == 200
    elif str(operation) == "PUT /me/password":
        assert answer.json()["code"] == "wrong_password"
    else:
        assert answer.status_code == 403, f"{answer.status_code} {answer.text}"
        if operation.method != "HEAD":
            assert answer.json()["code"] == "password_change_required"


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_keys_do_what_their_scopes_say_and_no_more(
    people: People, keys: dict[str, dict[str, str]], operation: Operation
) -> None:
    request, reads = operation.request(people.things), operation.method in ("GET", "HEAD", "OPTIONS")

    def refused(who: str, *codes: str) -> None:
        answer = people.anybody.request(**request, headers=keys[who])
        assert answer.status_code == 403, f"{who}: {answer.status_code} {answer.text}"
        assert operation.method == "HEAD" or answer.json()["code"] in codes, f"{who}: {answer.text}"

    if not reads:
        for who in ("reader", "admin's reader"):
            refused(who, "scope_missing", "sign_in_needed", "admin_only")
    if operation.is_admins:
        for who in ("reader", "writer", "admin's writer"):
            refused(who, "admin_only", "scope_missing")
    elif reads and "/events" not in operation.path:
        answer = people.anybody.request(**request, headers=keys["reader"])
        assert answer.status_code not in (401, 403), answer.text


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


def test_sockets_are_closed_to_those_whose_access_has_ended(people: People, lapsed: dict[str, dict[str, str]]) -> None:
    for path in SOCKETS:
        address = people.ada.url.replace("http", "ws", 1) + path.format(**people.things)
        for who, headers in lapsed.items():
            with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
                pass
            assert refused.value.response.status_code == (403 if who == "must change" else 401), who


def test_internal_operations_are_closed_to_whoever_reaches_the_ports(quick_fleet: Fleet, people: People) -> None:
    tried = 0
    for service, document in surface.stored().items():
        with httpx.Client(base_url=quick_fleet.url(service), timeout=30, headers=bearer(people.ada.token)) as client:
            for path, methods in document["paths"].items():
                for method, described in methods.items():
                    if surface.INTERNAL in described.get("tags", ()):
                        answer = client.request(method, path.format(job_id=people.things["job_id"]), json={})
                        assert (answer.status_code, answer.json()["code"]) == (403, "internal_only"), f"{method} {path}"
                        tried += 1
    assert tried >= 10


def test_nobody_but_the_gateway_says_where_a_request_comes_from(quick_fleet: Fleet) -> None:
    address, form = "198.51.100.77", {"username": "forger", "password": PASSWORD}
    for service in ("auth", "gateway"):
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            answer = httpx.post(f"{quick_fleet.url(service)}/token", data=form, headers={name: address}, timeout=30)
            assert answer.status_code == 401
    with administrator(quick_fleet) as admin:
        lines = admin.http.get("/admin/audit", params={"kind": "login_failed", "limit": 20}).json()["items"]
    addresses = {line["address"] for line in lines if line["username"] == "forger"}
    assert addresses == {"127.0.0.1"}


def test_metrics_ask_for_their_token(quick_fleet: Fleet) -> None:
    for name in ("gateway", "auth", "jobs", "metadata", "cleanup", *quick_fleet.transcribers):
        url = f"http://127.0.0.1:{quick_fleet.port(name, 'metrics')}/metrics"
        for headers in ({}, bearer("x"), bearer(quick_fleet.credentials[1])):
            assert httpx.get(url, headers=headers).status_code == 401, name
        token = bearer(quick_fleet.state.secret("metrics_token"))
        assert "verbatim_build_info" in httpx.get(url, headers=token).text, name


def test_there_are_sockets_to_try() -> None:
    assert {"/ws/logs/system", "/ws/logs/{job_id}"} <= set(SOCKETS)
