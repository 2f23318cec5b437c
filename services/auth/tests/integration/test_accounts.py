"""Registration, password changes, and the administration of accounts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

pytestmark = pytest.mark.integration

StartAuth = Callable[..., Awaitable[FastAPI]]
ClientFrom = Callable[..., httpx.AsyncClient]
LogIn = Callable[..., Awaitable[httpx.AsyncClient]]

HERS = "a password of hers"


def said(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a problem."""
    return answer.status_code, answer.json()["code"]


@pytest.fixture
async def ada(auth: FastAPI, client_from: ClientFrom, log_in: LogIn) -> httpx.AsyncClient:
    """A client of a registered user."""
    made = await client_from(auth).post("/register", json={"username": "ada", "password": HERS})
    assert (made.status_code, made.json()["role"]) == (201, "user")
    return await log_in("ada", HERS)


async def id_of(client: httpx.AsyncClient) -> str:
    answer: str = (await client.get("/me")).json()["user_id"]
    return answer


async def test_registration_is_off_unless_it_is_allowed(start_auth: StartAuth, client_from: ClientFrom) -> None:
    closed = client_from(await start_auth())
    answer = await closed.post("/register", json={"username": "ada", "password": HERS})
    assert said(answer) == (403, "registration_disabled")


async def test_registration_refuses_taken_names_weak_passwords_and_too_many_attempts(
    start_auth: StartAuth, client_from: ClientFrom
) -> None:
    client = client_from(await start_auth(allow_registration=True, login_attempts=5))

    async def register(username: str, password: str = HERS) -> tuple[int, str]:
        answer = await client.post("/register", json={"username": username, "password": password})
        return said(answer) if answer.is_error else (answer.status_code, answer.json()["username"])

    assert await register(" Zoë ") == (201, "Zoë")
    assert await register("ZOË") == (409, "username_taken")
    assert await register("bob", "password1") == (422, "weak_password")
    assert await register("b\x00b") == (422, "invalid_request")
    assert await register("  ") == (422, "invalid_request")
    assert await register("bob", "bob12345") == (422, "weak_password")
    assert await register("bob") == (201, "bob")
    assert await register("one-too-many") == (429, "too_many_attempts")


async def test_changing_the_password_needs_the_current_one_and_ends_the_other_sessions(
    ada: httpx.AsyncClient, log_in: LogIn
) -> None:
    elsewhere = await log_in("ada", HERS)
    wrong = {"current_password": "not this one", "new_password": "a new password of hers"}
    assert said(await ada.put("/me/password", json=wrong)) == (403, "wrong_password")
    weak = {"current_password": HERS, "new_password": "verbatim1"}
    assert said(await ada.put("/me/password", json=weak)) == (422, "weak_password")
    assert (await elsewhere.get("/me")).status_code == 200

    right = {"current_password": HERS, "new_password": "a new password of hers"}
    assert (await ada.put("/me/password", json=right)).status_code == 204
    assert said(await elsewhere.get("/me")) == (401, "session_ended")
    assert (await ada.get("/me")).status_code == 200
    assert said(await ada.post("/token", data={"username": "ada", "password": HERS})) == (401, "invalid_credentials")
    assert (await log_in("ada", "a new password of hers")).is_closed is False


async def test_one_of_several_simultaneous_password_changes_succeeds(ada: httpx.AsyncClient) -> None:
    changes = [
        {"current_password": HERS, "new_password": f"{word} password of hers"}
        for word in ("the first", "the second", "the third")
    ]
    answers = await asyncio.gather(*(ada.put("/me/password", json=change) for change in changes))
    assert sorted(answer.status_code for answer in answers) == [204, 403, 403]


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2])
async def test_a_reset_holds_although_the_user_changes_the_password_meanwhile(
    ada: httpx.AsyncClient, log_in: LogIn, delay: float
) -> None:
    admin, user_id = await log_in(), await id_of(ada)
    change = {"current_password": HERS, "new_password": "a new password of hers"}
    changing = asyncio.create_task(ada.put("/me/password", json=change))
    await asyncio.sleep(delay)
    reset = await admin.post(f"/admin/users/{user_id}/reset-password")
    assert (await changing).status_code in {204, 401, 403}
    assert (await log_in("ada", reset.json()["one_time_password"])).is_closed is False
    assert said(await ada.post("/token", data={"username": "ada", "password": change["new_password"]})) == (
        401,
        "invalid_credentials",
    )


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2])
async def test_a_login_with_the_old_password_does_not_outlive_a_change(
    ada: httpx.AsyncClient, auth: FastAPI, client_from: ClientFrom, delay: float
) -> None:
    stranger = client_from(auth)
    changing = asyncio.create_task(
        ada.put("/me/password", json={"current_password": HERS, "new_password": "a new password of hers"})
    )
    await asyncio.sleep(delay)
    login = await stranger.post("/token", data={"username": "ada", "password": HERS})
    assert (await changing).status_code == 204
    if login.status_code == 200:
        bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
        assert said(await stranger.get("/me", headers=bearer)) == (401, "session_ended")


async def test_the_new_password_must_differ(ada: httpx.AsyncClient) -> None:
    same = {"current_password": HERS, "new_password": HERS}
    assert said(await ada.put("/me/password", json=same)) == (422, "weak_password")


@pytest.mark.parametrize("path", ["/token/refresh", "/logout"])
@pytest.mark.parametrize("body", [b'{"refresh_token": "\\ud800"}', b"[" * 5000])
async def test_malformed_json_is_refused(auth: FastAPI, client_from: ClientFrom, path: str, body: bytes) -> None:
    answer = await client_from(auth).post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {401, 204, 422}


async def test_guesses_at_the_current_password_are_limited(start_auth: StartAuth, client_from: ClientFrom) -> None:
    app = await start_auth(login_attempts=3)
    client = client_from(app)
    answer = await client.post("/token", data={"username": "admin", "password": "correct horse battery"})
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    guess = {"current_password": "a guess", "new_password": "a new password"}
    answers = [(await client.put("/me/password", json=guess)).status_code for _ in range(5)]
    assert answers == [403, 403, 403, 429, 429]


async def test_administrative_operations_are_refused_to_users(ada: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/admin/users"),
        ("POST", "/admin/users"),
        ("GET", "/admin/audit"),
        ("POST", "/admin/keys/rotate"),
        ("PATCH", f"/admin/users/{await id_of(ada)}"),
    ):
        answer = await ada.request(method, path, json={} if method in {"POST", "PATCH"} else None)
        assert said(answer) == (403, "admin_only")


async def test_admin_creates_an_account_with_a_one_time_password(log_in: LogIn) -> None:
    admin = await log_in()
    made = (await admin.post("/admin/users", json={"username": "grace", "role": "admin"})).json()
    assert (made["role"], made["disabled"], made["password_change_required"]) == ("admin", False, True)
    shown = (await admin.get(f"/admin/users/{made['id']}")).json()
    assert shown == {key: value for key, value in made.items() if key != "one_time_password"}

    grace = await log_in("grace", made["one_time_password"])
    assert (await grace.get("/me")).status_code == 200
    assert said(await grace.get("/admin/users")) == (403, "password_change_required")
    change = {"current_password": made["one_time_password"], "new_password": HERS}
    assert (await grace.put("/me/password", json=change)).status_code == 204
    assert (await (await log_in("grace", HERS)).get("/admin/users")).status_code == 200

    chosen = await admin.post("/admin/users", json={"username": "hedy", "password": HERS})
    assert (chosen.json()["one_time_password"], chosen.json()["password_change_required"]) == (None, True)
    assert said(await admin.post("/admin/users", json={"username": "GRACE"})) == (409, "username_taken")


async def test_reset_password_replaces_it_and_ends_every_session(ada: httpx.AsyncClient, log_in: LogIn) -> None:
    admin = await log_in()
    reset = await admin.post(f"/admin/users/{await id_of(ada)}/reset-password")
    assert reset.headers["cache-control"] == "no-store"
    assert said(await ada.get("/me")) == (401, "session_ended")
    again = await log_in("ada", reset.json()["one_time_password"])
    assert said(await again.get("/me/sessions")) == (403, "password_change_required")
    unknown = await admin.post("/admin/users/0d9a4f2e-51c7-4f0e-8a34-6f1f3a2b9c77/reset-password")
    assert said(unknown) == (404, "user_not_found")


async def test_last_admin_can_neither_be_demoted_nor_disabled(log_in: LogIn) -> None:
    admin = await log_in()
    mine = f"/admin/users/{await id_of(admin)}"
    for change in ({"role": "user"}, {"disabled": True}):
        assert said(await admin.patch(mine, json=change)) == (409, "last_admin")
    assert (await admin.patch(mine, json={"role": "admin", "disabled": False})).status_code == 200
    other = (await admin.post("/admin/users", json={"username": "grace", "role": "admin"})).json()
    assert (await admin.patch(f"/admin/users/{other['id']}", json={"disabled": True})).status_code == 200
    # A disabled administrator does not count.
    assert said(await admin.patch(mine, json={"role": "user"})) == (409, "last_admin")


async def test_two_admins_cannot_remove_each_other_at_once(log_in: LogIn) -> None:
    admin = await log_in()
    made = (await admin.post("/admin/users", json={"username": "grace", "role": "admin"})).json()
    ids = [await id_of(admin), made["id"]]
    answers = await asyncio.gather(*(admin.patch(f"/admin/users/{each}", json={"disabled": True}) for each in ids))
    assert sum(answer.status_code == 200 for answer in answers) == 1


async def test_role_change_revokes_the_tokens_and_keeps_the_session(
    ada: httpx.AsyncClient, auth: FastAPI, client_from: ClientFrom, log_in: LogIn
) -> None:
    tokens = (await ada.post("/token", data={"username": "ada", "password": HERS})).json()
    admin = await log_in()
    await admin.patch(f"/admin/users/{await id_of(ada)}", json={"role": "admin"})
    assert said(await ada.get("/me")) == (401, "session_ended")
    fresh = await ada.post("/token/refresh", json={"refresh_token": tokens["refresh_token"]})
    ada.headers["Authorization"] = f"Bearer {fresh.json()['access_token']}"
    assert (await ada.get("/admin/users")).status_code == 200
    listed = (await ada.get("/internal/revocations")).json()["users"]
    assert listed == [{"user_id": await id_of(ada), "generation": 2}]


async def test_accounts_are_listed_by_name_in_pages(log_in: LogIn) -> None:
    admin = await log_in()
    for name in ("bea", "Abe", "cid", "50%"):
        await admin.post("/admin/users", json={"username": name})
    names: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await admin.get("/admin/users", params={"limit": 2} | cursor)).json()
        names += [item["username"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert names == ["50%", "Abe", "admin", "bea", "cid"]

    async def search(text: str) -> list[str]:
        found = await admin.get("/admin/users", params={"search": text})
        return [item["username"] for item in found.json()["items"]]

    assert await search("B") == ["Abe", "bea"]
    assert await search("%") == ["50%"]
    assert said(await admin.get("/admin/users", params={"search": "\0"})) == (422, "invalid_request")
    assert said(await admin.get("/admin/users", params={"cursor": "!"})) == (422, "invalid_cursor")


async def test_audit_trail_is_filtered_and_paged(ada: httpx.AsyncClient, log_in: LogIn) -> None:
    admin = await log_in()
    user_id = await id_of(ada)
    await admin.patch(f"/admin/users/{user_id}", json={"role": "admin"})
    await admin.patch(f"/admin/users/{user_id}", json={"disabled": True})

    async def trail(**filters: Any) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        while True:
            page = (await admin.get("/admin/audit", params={"limit": 2} | filters)).json()
            lines += page["items"]
            if page["next_cursor"] is None:
                return lines
            filters["cursor"] = page["next_cursor"]

    about = await trail(user_id=user_id)
    assert [line["kind"] for line in about] == ["user_disabled", "role_changed", "login_succeeded", "user_registered"]
    assert (about[1]["actor"], about[1]["details"]) == ("admin", {"role": "admin", "before": "user"})
    assert about[3]["actor"] is None
    assert len({line["id"] for line in await trail()}) == len(await trail())
    (role,) = await trail(kind="role_changed")
    assert await trail(kind="role_changed", since=role["occurred_at"]) == [role]
    assert await trail(kind="role_changed", until=role["occurred_at"]) == []
    for wrong in ({"since": "0001-01-01T00:00:00+23:59"}, {"kind": "unheard"}, {"limit": 0}):
        assert said(await admin.get("/admin/audit", params=wrong)) == (422, "invalid_request")
    assert said(await admin.get("/admin/audit", params={"cursor": "QQ"})) == (422, "invalid_cursor")
