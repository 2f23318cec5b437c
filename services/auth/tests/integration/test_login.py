"""Login with a real database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import jwt
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import func, select, update

from auth.tables import LoginAttempts, SecurityEvent, User
from common.web.addresses import INTERNAL_HEADER

pytestmark = pytest.mark.integration

StartAuth = Callable[..., Awaitable[FastAPI]]
ClientFrom = Callable[..., httpx.AsyncClient]


async def log_in(client: httpx.AsyncClient, password: str, username: str = "admin", **headers: str) -> httpx.Response:
    return await client.post("/token", data={"username": username, "password": password}, headers=headers)


async def in_database(app: FastAPI, statement: Any) -> Any:
    async with app.state.sessions.begin() as session:
        return await session.execute(statement)


async def test_correct_password_gives_a_token_that_every_service_can_verify(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    app = await start_auth()
    client = client_from(app)
    answer = await log_in(client, admin_password)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 3600

    keys = (await client.get("/.well-known/jwks.json")).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "kid", "use", "alg"}]
    header = jwt.get_unverified_header(body["access_token"])
    assert header == {"alg": "EdDSA", "kid": keys[0]["kid"], "typ": "at+jwt"}
    claims = jwt.decode(
        body["access_token"], jwt.PyJWK(keys[0]).key, algorithms=["EdDSA"], audience="verbatim", issuer="verbatim"
    )
    assert claims["name"] == "admin"
    assert claims["role"] == "admin"
    assert claims["exp"] - claims["iat"] == 3600

    me = await client.get("/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert me.json() == {"user_id": claims["sub"], "username": "admin", "role": "admin"}


async def test_user_name_is_compared_without_case_and_width(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    client = client_from(await start_auth())
    assert (await log_in(client, admin_password, " ＡDMIN ")).status_code == 200


async def test_wrong_password_unknown_user_and_disabled_account_look_the_same(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    app = await start_auth()
    client = client_from(app)
    wrong = await log_in(client, "not the password")
    unknown = await log_in(client, "not the password", "nobody")
    token = (await log_in(client, admin_password)).json()["access_token"]
    await in_database(app, update(User).values(disabled_at=func.now()))
    disabled = await log_in(client, admin_password)
    for answer in (wrong, unknown, disabled):
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() | {"request_id": ""} == wrong.json() | {"request_id": ""}
    assert wrong.json()["code"] == "invalid_credentials"

    gone = await client.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert (gone.status_code, gone.json()["code"]) == (401, "account_gone")


async def test_unusable_forms_are_refused_without_echoing_the_password(
    start_auth: StartAuth, client_from: ClientFrom
) -> None:
    client = client_from(await start_auth())
    for form in ({"username": "admin"}, {"username": "admin", "password": "s3cret" * 400}):
        answer = await client.post("/token", data=form)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "s3cret" not in answer.text


async def test_limit_counts_in_all_replicas_and_does_not_block_the_owner(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    first, second = await start_auth(login_attempts=3), await start_auth(login_attempts=3)
    guesser = client_from(first, "198.51.100.1")
    for _ in range(3):
        assert (await log_in(guesser, "a guess")).status_code == 401

    stopped = await log_in(client_from(second, "198.51.100.1"), admin_password)
    assert (stopped.status_code, stopped.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(stopped.headers["retry-after"]) <= 300

    assert (await log_in(client_from(second, "192.0.2.1"), admin_password)).status_code == 200


async def test_parallel_guesses_are_all_counted(start_auth: StartAuth, client_from: ClientFrom) -> None:
    client = client_from(await start_auth(login_attempts=4))
    answers = await asyncio.gather(*(log_in(client, f"guess {number}") for number in range(12)))
    assert sorted(answer.status_code for answer in answers) == [401] * 4 + [429] * 8


async def test_one_address_cannot_try_many_users(start_auth: StartAuth, client_from: ClientFrom) -> None:
    app = await start_auth(login_attempts=3, login_attempts_per_address=5)
    client = client_from(app)
    answers = [(await log_in(client, "Winter2026", f"user{number}")).status_code for number in range(7)]
    assert answers == [401] * 5 + [429] * 2


async def test_successful_login_resets_the_failures(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    app = await start_auth(login_attempts=2, login_attempts_per_address=2)
    client = client_from(app)
    for _ in range(3):
        assert (await log_in(client, "mistyped")).status_code == 401
        assert (await log_in(client, admin_password)).status_code == 200
        await in_database(app, update(LoginAttempts).values(failures=0))


async def test_successful_logins_do_not_count_for_the_address(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    client = client_from(await start_auth(login_attempts_per_address=2))
    assert [(await log_in(client, admin_password)).status_code for _ in range(5)] == [200] * 5


async def test_an_expired_window_starts_again(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    app = await start_auth(login_attempts=1)
    client = client_from(app)
    assert (await log_in(client, "a guess")).status_code == 401
    assert (await log_in(client, admin_password)).status_code == 429
    await in_database(app, update(LoginAttempts).values(window_ends_at=func.now()))
    assert (await log_in(client, admin_password)).status_code == 200


async def test_forwarded_addresses_count_only_when_the_gateway_names_them(
    start_auth: StartAuth, client_from: ClientFrom
) -> None:
    app = await start_auth(login_attempts=1)
    gateway, neighbour = client_from(app, "10.1.2.3"), client_from(app, "127.0.0.1", is_gateway=False)
    for client in (gateway, neighbour):
        await log_in(client, "a guess", **{"X-Forwarded-For": "198.51.100.7"})
    addresses = (await in_database(app, select(SecurityEvent.address).where(SecurityEvent.address.is_not(None)))).all()
    assert [address for (address,) in addresses] == ["198.51.100.7", "127.0.0.1"]

    wrong = {INTERNAL_HEADER: "something else of the same length  ok"}
    for headers in ({}, wrong):
        for method, path in (("GET", "/internal/revocations"), ("POST", "/internal/access")):
            refused = await neighbour.request(method, path, json={}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "internal_only")


async def test_hash_made_with_weaker_parameters_is_replaced_at_login(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    app = await start_auth()
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(admin_password)
    await in_database(app, update(User).values(password_hash=weak))
    client = client_from(app)
    assert (await log_in(client, admin_password)).status_code == 200
    stored = (await in_database(app, select(User.password_hash))).scalar_one()
    assert stored != weak
    assert "$m=47104,t=2,p=1$" in stored
    assert (await log_in(client, admin_password)).status_code == 200


async def test_audit_trail_has_name_and_address_and_never_the_password(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    app = await start_auth(login_attempts=1)
    client = client_from(app)
    await log_in(client, "a wrong password", "eve", **{"X-Request-ID": "audit-1"})
    for _ in range(3):
        await log_in(client, "a wrong password", "eve")
    await log_in(client, admin_password)
    rows = (await in_database(app, select(SecurityEvent).order_by(SecurityEvent.id))).scalars().all()
    assert [row.kind for row in rows] == [
        "signing_key_created",
        "first_admin_created",
        "login_failed",
        "login_throttled",
        "login_succeeded",
    ]
    assert (rows[2].username, rows[2].user_id, rows[2].address, rows[2].correlation_id) == (
        "eve",
        None,
        "203.0.113.7",
        "audit-1",
    )
    assert rows[4].user_id is not None
    assert all("password" not in str(vars(row)) for row in rows)
