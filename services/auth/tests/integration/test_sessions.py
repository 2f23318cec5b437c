"""Sessions: login, single-use refresh tokens, logout, revocation."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from auth.repository import sessions
from auth.tables import RefreshToken, Session

pytestmark = pytest.mark.integration

ClientFrom = Callable[..., httpx.AsyncClient]
LogIn = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def stranger(auth: FastAPI, client_from: ClientFrom) -> httpx.AsyncClient:
    """A client without an access token."""
    return client_from(auth)


@pytest.fixture
async def tokens(stranger: httpx.AsyncClient, admin_password: str) -> dict[str, Any]:
    """The response to a login."""
    answer = await stranger.post("/token", data={"username": "admin", "password": admin_password})
    body: dict[str, Any] = answer.json()
    return body


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def in_database(app: FastAPI, statement: Any) -> Any:
    async with app.state.sessions.begin() as session:
        return await session.execute(statement)


async def ways_to_refresh(client: httpx.AsyncClient, token: str) -> list[Callable[[str], Awaitable[httpx.Response]]]:
    return [
        lambda token: client.post("/token/refresh", json={"refresh_token": token}),
        lambda token: client.post("/token/refresh", data={"refresh_token": token}),
        lambda token: client.post("/token", data={"grant_type": "refresh_token", "refresh_token": token}),
    ]


async def test_refresh_token_gives_a_new_pair_in_every_format(
    stranger: httpx.AsyncClient, tokens: dict[str, Any]
) -> None:
    assert tokens["refresh_token"].startswith("vr_")
    assert len(tokens["refresh_token"]) > 43
    assert tokens["refresh_expires_in"] == 30 * 24 * 3600
    for refresh in await ways_to_refresh(stranger, tokens["refresh_token"]):
        answer = await refresh(tokens["refresh_token"])
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["refresh_token"] != tokens["refresh_token"]
        tokens = answer.json()
        assert (await stranger.get("/me", headers=bearer(tokens))).status_code == 200


async def test_refresh_tokens_are_stored_hashed(auth: FastAPI, tokens: dict[str, Any]) -> None:
    stored = (await in_database(auth, select(RefreshToken.token_hash))).scalars().all()
    assert [len(each) for each in stored] == [32]
    assert tokens["refresh_token"].encode() not in stored


async def test_second_use_of_a_refresh_token_ends_the_session_for_both(
    stranger: httpx.AsyncClient, tokens: dict[str, Any], log_in: LogIn
) -> None:
    stolen = tokens["refresh_token"]
    fresh = (await stranger.post("/token/refresh", json={"refresh_token": stolen})).json()
    reused = await stranger.post("/token/refresh", json={"refresh_token": stolen})
    assert (reused.status_code, reused.json()["code"]) == (401, "invalid_refresh_token")
    assert stolen not in reused.text

    owner = await stranger.post("/token/refresh", json={"refresh_token": fresh["refresh_token"]})
    assert (owner.status_code, owner.json()["code"]) == (401, "invalid_refresh_token")
    ended = await stranger.get("/me", headers=bearer(fresh))
    assert (ended.status_code, ended.json()["code"]) == (401, "session_ended")

    trail = await (await log_in()).get("/admin/audit", params={"kind": "refresh_token_reused"})
    assert [line["username"] for line in trail.json()["items"]] == ["admin"]


async def test_of_two_uses_at_once_at_most_one_succeeds(stranger: httpx.AsyncClient, tokens: dict[str, Any]) -> None:
    body = {"refresh_token": tokens["refresh_token"]}
    answers = await asyncio.gather(*(stranger.post("/token/refresh", json=body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


@pytest.mark.parametrize(
    "body",
    [{}, {"refresh_token": ""}, {"refresh_token": 7}, {"refresh_token": "x" * 1000}, []],
)
async def test_unusable_refresh_request_is_refused_with_what_is_wrong(stranger: httpx.AsyncClient, body: Any) -> None:
    answer = await stranger.post("/token/refresh", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    garbage = await stranger.post("/token/refresh", content=b"{", headers={"Content-Type": "application/json"})
    assert (garbage.status_code, garbage.json()["code"]) == (422, "invalid_request")


async def test_unknown_refresh_token_is_refused(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/token/refresh", json={"refresh_token": "vr_made-up"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")


async def test_session_ends_after_idle_time_and_at_its_longest_lifetime(
    auth: FastAPI, stranger: httpx.AsyncClient, tokens: dict[str, Any]
) -> None:
    await in_database(auth, update(Session).values(ends_at=func.now() + timedelta(days=1)))
    tokens = (await stranger.post("/token/refresh", json={"refresh_token": tokens["refresh_token"]})).json()
    expires, ends = (await in_database(auth, select(Session.expires_at, Session.ends_at))).one()
    assert expires == ends

    await in_database(auth, update(Session).values(expires_at=func.now()))
    answer = await stranger.post("/token/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert (await stranger.get("/me", headers=bearer(tokens))).status_code == 200  # access runs out by itself


async def test_logout_ends_this_session_and_no_other(stranger: httpx.AsyncClient, log_in: LogIn) -> None:
    here, there = await log_in(), await log_in()
    assert (await here.post("/logout")).status_code == 204
    assert (await here.get("/me")).json()["code"] == "session_ended"
    assert (await here.post("/logout")).status_code == 204, "it may be repeated"
    assert (await there.get("/me")).status_code == 200


@pytest.mark.parametrize("as_form", [False, True])
async def test_logout_takes_a_refresh_token_whatever_the_access_token_is(
    auth: FastAPI, stranger: httpx.AsyncClient, admin_password: str, as_form: bool
) -> None:
    for headers in ({}, {"Authorization": "Bearer an.expired.one"}, {"Authorization": "Bearer vk_x"}):
        login = {"username": "admin", "password": admin_password}
        first = (await stranger.post("/token", data=login)).json()
        second = (await stranger.post("/token/refresh", json={"refresh_token": first["refresh_token"]})).json()
        # A used one names the session as well, and who has it wants it to end.
        body = {"refresh_token": first["refresh_token"]}
        kind = {"data": body} if as_form else {"json": body}
        for _ in range(2):
            answer = await stranger.post("/logout", headers=headers, **kind)  # type: ignore[arg-type]
            assert answer.status_code == 204, answer.text
        assert (await stranger.get("/me", headers=bearer(second))).json()["code"] == "session_ended"
        refresh = await stranger.post("/token/refresh", json={"refresh_token": second["refresh_token"]})
        assert refresh.status_code == 401
    async with auth.state.sessions() as session:
        ended = select(Session.end_reason).where(Session.ended_at.is_not(None))
        assert set(await session.scalars(ended)) == {"logout"}


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, None, (401, "unauthorized")),
        ({"Authorization": "Bearer x.y.z"}, None, (401, "invalid_token")),
        ({"Authorization": "Bearer vk_x"}, None, (403, "sign_in_needed")),
        ({}, {"refresh_token": ""}, (422, "invalid_request")),
        ({}, {"refresh_token": "vr_never_given_out"}, (204, None)),
    ],
)
async def test_logout_without_a_session_is_refused(
    stranger: httpx.AsyncClient, headers: dict[str, str], body: Any, expected: tuple[int, str | None]
) -> None:
    answer = await stranger.post("/logout", headers=headers, json=body)
    assert (answer.status_code, answer.json()["code"] if answer.content else None) == expected


async def test_access_is_checked_against_the_database(stranger: httpx.AsyncClient, log_in: LogIn) -> None:
    there = await log_in()
    user = (await there.get("/me")).json()["user_id"]
    (session,) = (await there.get("/me/sessions")).json()["items"]
    claims = {"user_id": user, "session_id": session["id"], "generation": 1}
    assert (await stranger.post("/internal/access", json=claims)).status_code == 204
    assert (await stranger.post("/internal/access", json=claims | {"generation": 0})).status_code == 401
    unknown = await stranger.post("/internal/access", json=claims | {"user_id": session["id"]})
    assert unknown.json()["code"] == "account_gone"
    await there.post("/logout")
    ended = await stranger.post("/internal/access", json=claims)
    assert (ended.status_code, ended.json()["code"]) == (401, "session_ended")


async def test_sessions_are_listed_and_ended_from_another_session(auth: FastAPI, log_in: LogIn) -> None:
    first, second, third = await log_in(), await log_in(), await log_in()
    second.headers["User-Agent"] = "a browser"
    items = (await first.get("/me/sessions")).json()["items"]
    assert len(items) == 3
    assert [item["current"] for item in items].count(True) == 1
    assert {item["address"] for item in items} == {"203.0.113.7"}

    (current,) = [item["id"] for item in (await second.get("/me/sessions")).json()["items"] if item["current"]]
    assert (await first.delete(f"/me/sessions/{current}")).status_code == 204
    assert (await second.get("/me")).json()["code"] == "session_ended"
    gone = await first.delete(f"/me/sessions/{current}")
    assert (gone.status_code, gone.json()["code"]) == (404, "session_not_found")

    assert (await first.delete("/me/sessions")).status_code == 204
    assert (await third.get("/me")).status_code == 401
    assert (await first.get("/me")).status_code == 200


async def test_session_of_another_user_is_not_found(log_in: LogIn) -> None:
    admin = await log_in()
    await admin.post("/register", json={"username": "eve", "password": "a password of hers"})
    eve = await log_in("eve", "a password of hers")
    (item,) = (await admin.get("/me/sessions")).json()["items"]
    assert (await eve.delete(f"/me/sessions/{item['id']}")).status_code == 404
    assert (await admin.get("/me")).status_code == 200


async def test_revocations_list_only_recent_ones(auth: FastAPI, log_in: LogIn) -> None:
    here, there = await log_in(), await log_in()
    (ended,) = [item["id"] for item in (await there.get("/me/sessions")).json()["items"] if item["current"]]
    await there.post("/logout")
    listed = (await here.get("/internal/revocations")).json()
    assert listed == {"session_ids": [ended], "users": [], "remember_seconds": 3660}
    await in_database(
        auth, update(Session).where(Session.id == ended).values(ended_at=func.now() - timedelta(seconds=3700))
    )
    assert (await here.get("/internal/revocations")).json()["session_ids"] == []


async def test_old_sessions_are_deleted_with_their_tokens(auth: FastAPI, log_in: LogIn) -> None:
    await log_in()
    (await log_in()).headers.clear()
    ended = select(Session.id).limit(1).scalar_subquery()
    await in_database(
        auth, update(Session).where(Session.id == ended).values(expires_at=func.now() - timedelta(hours=2))
    )
    async with auth.state.sessions.begin() as session:
        assert await sessions.prune(session, timedelta(hours=1)) == 1
    assert len((await in_database(auth, select(RefreshToken))).all()) == 1
