"""API keys: creation, storage as a hash, exchange for tokens with the scopes of the key."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from auth.tables import ApiKey, User

pytestmark = pytest.mark.integration

LogIn = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def admin(log_in: LogIn) -> httpx.AsyncClient:
    """A client of the administrator."""
    return await log_in()


async def make(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/api-keys", json={"name": "test"} | body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def exchange(client: httpx.AsyncClient, key: str) -> httpx.Response:
    return await client.post("/internal/api-keys/exchange", json={"key": key})


async def test_key_is_shown_once_and_stored_as_a_hash(auth: FastAPI, admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/api-keys", json={"name": "nightly import"})
    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert made["key"].startswith(made["prefix"])
    assert (made["scopes"], made["expires_at"], made["last_used_at"]) == (["read", "write"], None, None)
    (listed,) = (await admin.get("/api-keys")).json()["items"]
    assert listed == {name: value for name, value in made.items() if name != "key"}
    async with auth.state.sessions() as session:
        (row,) = (await session.scalars(select(ApiKey))).all()
    assert len(row.key_hash) == 32
    assert made["key"] not in str(vars(row))


@pytest.mark.parametrize(
    ("wanted", "scopes", "role"),
    [
        (["read"], ["read"], "user"),
        (["write"], ["read", "write"], "user"),
        (["admin", "read"], ["read", "admin"], "admin"),
        (["write", "admin", "write"], ["read", "write", "admin"], "admin"),
    ],
)
async def test_token_for_a_key_carries_its_scopes_and_no_more_of_the_role(
    admin: httpx.AsyncClient, wanted: list[str], scopes: list[str], role: str
) -> None:
    made = await make(admin, scopes=wanted)
    assert made["scopes"] == scopes
    answer = await exchange(admin, made["key"])
    assert answer.json()["expires_in"] == 3600
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert (claims["scope"].split(), claims["role"], claims["sid"]) == (scopes, role, made["id"])
    (listed,) = (await admin.get("/api-keys")).json()["items"]
    assert listed["last_used_at"] is not None


async def test_tokens_of_a_key_end_with_the_key(auth: FastAPI, admin: httpx.AsyncClient) -> None:
    made = await make(admin, expires_in_days=1)
    async with auth.state.sessions.begin() as session:
        await session.execute(update(ApiKey).values(expires_at=func.now() + timedelta(seconds=90)))
    assert 80 <= (await exchange(admin, made["key"])).json()["expires_in"] <= 90
    async with auth.state.sessions.begin() as session:
        await session.execute(update(ApiKey).values(expires_at=func.now()))
    expired = await exchange(admin, made["key"])
    assert (expired.status_code, expired.json()["code"]) == (401, "invalid_api_key")
    assert made["key"] not in expired.text


async def test_revoked_key_is_gone_and_its_tokens_are_void(admin: httpx.AsyncClient) -> None:
    made = await make(admin)
    token = (await exchange(admin, made["key"])).json()["access_token"]
    assert (await admin.get("/me", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    assert (await admin.delete(f"/api-keys/{made['id']}")).status_code == 204
    assert (await exchange(admin, made["key"])).status_code == 401
    void = await admin.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert (void.status_code, void.json()["code"]) == (401, "session_ended")
    assert (await admin.get("/api-keys")).json()["items"] == []
    again = await admin.delete(f"/api-keys/{made['id']}")
    assert (again.status_code, again.json()["code"]) == (404, "api_key_not_found")
    assert (await admin.get("/internal/revocations")).json()["session_ids"] == [made["id"]]


async def test_key_of_another_user_is_not_found(admin: httpx.AsyncClient, log_in: LogIn) -> None:
    made = await make(admin)
    await admin.post("/register", json={"username": "eve", "password": "a password of hers"})
    eve = await log_in("eve", "a password of hers")
    assert (await eve.delete(f"/api-keys/{made['id']}")).status_code == 404
    assert (await eve.get("/api-keys")).json()["items"] == []
    assert (await exchange(admin, made["key"])).status_code == 200


async def test_key_permits_no_operation_that_needs_a_session(admin: httpx.AsyncClient) -> None:
    made = await make(admin, scopes=["write", "admin"])
    token = (await exchange(admin, made["key"])).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    change = {"current_password": "x", "new_password": "a longer password"}
    for method, path, body in (
        ("POST", "/api-keys", {"name": "more"}),
        ("DELETE", f"/api-keys/{made['id']}", None),
        ("PUT", "/me/password", change),
        ("POST", "/logout", None),
        ("DELETE", "/me/sessions", None),
    ):
        answer = await admin.request(method, path, json=body, headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_needed"), path
    assert (await admin.get("/admin/users", headers=bearer)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "a\0b"},
        {"scopes": []},
        {"scopes": ["admin"]},
        {"scopes": ["all"]},
        {"expires_in_days": 0},
        {"expires_in_days": 10**9},
    ],
)
async def test_unusable_key_is_refused(admin: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await admin.post("/api-keys", json={"name": "test"} | body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_creation_and_revocation_are_in_the_audit_trail_without_the_key(admin: httpx.AsyncClient) -> None:
    made = await make(admin)
    await admin.delete(f"/api-keys/{made['id']}")
    trail = await admin.get("/admin/audit", params={"limit": 2})
    assert [line["kind"] for line in trail.json()["items"]] == ["api_key_revoked", "api_key_created"]
    assert trail.json()["items"][0]["details"] == {"key": made["id"], "name": "test", "prefix": made["prefix"]}
    assert made["key"] not in trail.text


async def id_of(client: httpx.AsyncClient) -> str:
    user_id: str = (await client.get("/me")).json()["user_id"]
    return user_id


@pytest.fixture
async def eve(admin: httpx.AsyncClient, log_in: LogIn) -> httpx.AsyncClient:
    """A client of a user without the role admin."""
    await admin.post("/register", json={"username": "eve", "password": "a phrase of hers"})
    return await log_in("eve", "a phrase of hers")


async def test_users_cannot_create_keys_with_the_scope_admin(eve: httpx.AsyncClient) -> None:
    answer = await eve.post("/api-keys", json={"name": "later", "scopes": ["read", "admin"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_not_allowed")
    assert (await eve.get("/api-keys")).json()["items"] == []


async def test_key_loses_the_scope_admin_permanently_when_its_owner_loses_the_role(
    admin: httpx.AsyncClient, eve: httpx.AsyncClient, log_in: LogIn
) -> None:
    user = f"/admin/users/{await id_of(eve)}"
    await admin.patch(user, json={"role": "admin"})
    made = await make(await log_in("eve", "a phrase of hers"), scopes=["write", "admin"])
    before = (await exchange(admin, made["key"])).json()["access_token"]
    for role in ("user", "admin"):
        await admin.patch(user, json={"role": role})
        claims = jwt.decode(
            (await exchange(admin, made["key"])).json()["access_token"], options={"verify_signature": False}
        )
        assert (claims["scope"], claims["role"]) == ("read write", "user"), role
    assert (await admin.get("/me", headers={"Authorization": f"Bearer {before}"})).status_code == 401


async def test_a_reset_of_the_password_revokes_every_key(admin: httpx.AsyncClient, eve: httpx.AsyncClient) -> None:
    made, other = await make(eve), await make(admin)
    token = (await exchange(admin, made["key"])).json()["access_token"]
    await admin.post(f"/admin/users/{await id_of(eve)}/reset-password")
    assert (await exchange(admin, made["key"])).json()["code"] == "invalid_api_key"
    assert (await admin.get("/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401
    assert made["id"] in (await admin.get("/internal/revocations")).json()["session_ids"]
    assert (await exchange(admin, other["key"])).status_code == 200
    line = (await admin.get("/admin/audit", params={"kind": "password_reset"})).json()["items"][0]
    assert line["details"] == {"api_keys_revoked": 1}


@pytest.mark.parametrize(("wanted", "expected"), [({}, 200), ({"revoke_api_keys": True}, 401)])
async def test_password_change_by_the_owner_keeps_keys_unless_requested(
    admin: httpx.AsyncClient, eve: httpx.AsyncClient, wanted: dict[str, bool], expected: int
) -> None:
    made = await make(eve)
    change = {"current_password": "a phrase of hers", "new_password": "another phrase of hers"}
    assert (await eve.put("/me/password", json=change | wanted)).status_code == 204
    assert (await exchange(admin, made["key"])).status_code == expected


async def test_key_is_refused_while_its_owner_is_disabled_or_must_change_the_password(
    auth: FastAPI, admin: httpx.AsyncClient, eve: httpx.AsyncClient
) -> None:
    made = await make(eve)
    user = f"/admin/users/{await id_of(eve)}"
    await admin.patch(user, json={"disabled": True})
    assert (await exchange(admin, made["key"])).json()["code"] == "invalid_api_key"
    await admin.patch(user, json={"disabled": False})
    async with auth.state.sessions.begin() as session:
        await session.execute(update(User).where(User.username == "eve").values(must_change_password=True))
    refused = await exchange(admin, made["key"])
    assert (refused.status_code, refused.json()["code"]) == (403, "password_change_required")
