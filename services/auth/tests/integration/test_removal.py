"""Deletion of accounts, and the end of sessions and keys by administrators."""

from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from auth.repository import accounts
from auth.tables import ApiKey, Outbox, SecurityEvent, Session, User
from common.events import ResetRequested, UserDeleted
from common.messaging import Broker
from common.settings import BrokerSettings
from common.testing import eventually
from common.testing.messages import assert_published

from .conftest import Client, LogIn, StartAuth

pytestmark = pytest.mark.integration

PASSWORD = "an unlikely phrase 4711"


async def signed_up(auth: FastAPI, client_from: Client, name: str) -> httpx.AsyncClient:
    """A client of a new user with a session."""
    client = client_from(auth)
    form = {"username": name, "password": PASSWORD}
    assert (await client.post("/register", json=form)).status_code == 201
    token = (await client.post("/token", data=form)).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return client


async def id_of(client: httpx.AsyncClient) -> str:
    return str((await client.get("/me")).json()["user_id"])


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_deleted_account_leaves_no_name_and_no_access(
    auth: FastAPI, log_in: LogIn, client_from: Client
) -> None:
    admin, ada = await log_in(), await signed_up(auth, client_from, "ada")
    key = (await ada.post("/api-keys", json={"name": "hers"})).json()["key"]
    ada_id = await id_of(ada)
    assert (await admin.delete(f"/admin/users/{ada_id}")).status_code == 204

    assert said(await ada.get("/me"))[0] == 401
    assert (await ada.post("/internal/api-keys/exchange", json={"key": key})).status_code == 401
    assert (await ada.post("/token", data={"username": "ada", "password": PASSWORD})).status_code == 401
    assert (await ada.post("/token", data={"username": f"deleted-{ada_id}", "password": PASSWORD})).status_code == 401
    assert said(await admin.get(f"/admin/users/{ada_id}")) == (404, "user_not_found")
    assert said(await admin.delete(f"/admin/users/{ada_id}")) == (404, "user_not_found")
    assert [user["username"] for user in (await admin.get("/admin/users")).json()["items"]] == ["admin"]
    revoked = (await admin.get("/internal/revocations")).json()["users"]
    assert {"user_id": ada_id, "generation": 2} in revoked, "gateways read here that the tokens are void"
    line = (await admin.get("/admin/audit", params={"kind": "user_deleted"})).json()["items"][0]
    assert (line["username"], line["actor"]) == ("ada", "admin")
    async with auth.state.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(ApiKey)) == 0
        assert (
            await session.scalar(select(func.count()).select_from(Session).join(User).where(User.role == "user")) == 0
        )
    await assert_published(auth.state.sessions, Outbox, UserDeleted, user_id=UUID(ada_id))
    assert (await signed_up(auth, client_from, "ada")) is not None, "the name can be used again"

    async with auth.state.sessions.begin() as session:
        await session.execute(update(User).values(deleted_at=User.deleted_at - func.make_interval(0, 0, 0, 1)))
        await accounts.forget_deleted(session, auth.state.resources.issuer.longest_remembered)
        assert await session.scalar(select(func.count()).select_from(User).where(User.deleted_at.is_not(None))) == 0


async def test_own_account_and_last_administrator_are_not_deleted(log_in: LogIn) -> None:
    admin = await log_in()
    assert said(await admin.delete(f"/admin/users/{await id_of(admin)}")) == (409, "own_account")
    assert said(await admin.delete(f"/admin/users/{uuid4()}")) == (404, "user_not_found")


async def test_administrators_list_and_end_sessions_and_keys_of_others(
    auth: FastAPI, log_in: LogIn, client_from: Client
) -> None:
    admin, ada = await log_in(), await signed_up(auth, client_from, "ada")
    key = (await ada.post("/api-keys", json={"name": "hers"})).json()
    path = f"/admin/users/{await id_of(ada)}"
    (listed,) = (await admin.get(f"{path}/api-keys")).json()["items"]
    assert (listed["id"], listed["name"], "key" in listed) == (key["id"], "hers", False)
    (running,) = (await admin.get(f"{path}/sessions")).json()["items"]
    assert running["current"] is False

    assert (await admin.delete(f"{path}/api-keys/{key['id']}")).status_code == 204
    assert said(await admin.delete(f"{path}/api-keys/{key['id']}")) == (404, "api_key_not_found")
    assert (await ada.post("/internal/api-keys/exchange", json={"key": key["key"]})).status_code == 401
    assert (await admin.delete(f"{path}/sessions/{running['id']}")).status_code == 204
    assert said(await admin.delete(f"{path}/sessions/{running['id']}")) == (404, "session_not_found")
    assert (await ada.get("/me")).status_code == 401
    async with auth.state.sessions() as session:
        acts = select(SecurityEvent.kind, SecurityEvent.actor).where(SecurityEvent.actor.is_not(None))
        assert sorted(tuple(row) for row in await session.execute(acts)) == [
            ("api_key_revoked", "admin"),
            ("session_ended", "admin"),
        ]
    for method, rest in (("GET", "api-keys"), ("GET", "sessions")):
        assert said(await admin.request(method, f"/admin/users/{uuid4()}/{rest}")) == (404, "user_not_found")


async def test_a_reset_with_users_keeps_only_the_requesting_administrator(
    start_auth: StartAuth, client_from: Client, broker_settings: BrokerSettings, admin_password: str
) -> None:
    auth = await start_auth(broker_url=broker_settings.broker_url, allow_registration=True)
    admin = client_from(auth)
    login = await admin.post("/token", data={"username": "admin", "password": admin_password})
    admin.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
    people = [await signed_up(auth, client_from, name) for name in ("ada", "grace")]
    ids = {await id_of(person) for person in people}
    broker = await Broker.connect(broker_settings, "test")
    try:
        unknown = ResetRequested(requested_by=uuid4(), users=True)
        for event in (unknown, ResetRequested(requested_by=uuid4()), unknown):
            await broker.publish(event)
        await broker.publish(ResetRequested(requested_by=(await admin.get("/me")).json()["user_id"], users=True))
        await eventually(lambda: admin.get("/admin/users"), lambda answer: len(answer.json()["items"]) == 1)

        async def published() -> bool:
            async with auth.state.sessions() as session:
                rows = (await session.scalars(select(Outbox).where(Outbox.published_at.is_not(None)))).all()
            return {str(UserDeleted.model_validate_json(row.body).user_id) for row in rows} == ids

        await eventually(published)
    finally:
        await broker.close()
    assert [(await person.get("/me")).status_code for person in people] == [401, 401]
