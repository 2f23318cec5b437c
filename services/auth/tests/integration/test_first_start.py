"""What the first start creates, and what later starts leave unchanged."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from auth.errors import SecretKeyMismatch
from auth.tables import SigningKey, User
from common.database import SchemaOutdated

pytestmark = pytest.mark.integration

StartAuth = Callable[..., Awaitable[FastAPI]]
ClientFrom = Callable[..., httpx.AsyncClient]


async def count(app: FastAPI, table: Any) -> int:
    async with app.state.sessions() as session:
        found: int = await session.scalar(select(func.count()).select_from(table))
        return found


def shown_password(output: str) -> str:
    (line,) = [line for line in output.splitlines() if "password    " in line]
    return line.strip("║ ").split()[-1]


async def test_replicas_that_start_together_create_one_admin_and_one_key(
    start_auth: StartAuth, client_from: ClientFrom, capsys: pytest.CaptureFixture[str]
) -> None:
    apps = await asyncio.gather(*(start_auth(admin_password=None) for _ in range(3)))
    assert await count(apps[0], User) == 1
    assert await count(apps[0], SigningKey) == 1

    password = shown_password(capsys.readouterr().out)
    for app in apps:
        answer = await client_from(app).post("/token", data={"username": "admin", "password": password})
        assert answer.status_code == 200


async def test_generated_password_is_shown_once_and_not_logged(
    start_auth: StartAuth, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await start_auth(admin_password=None)
    password = shown_password(capsys.readouterr().out)
    await start_auth(admin_password=None)
    assert "password    " not in capsys.readouterr().out
    assert password not in caplog.text


async def test_first_admin_is_named_by_the_settings_and_later_settings_change_nothing(
    start_auth: StartAuth, client_from: ClientFrom
) -> None:
    await start_auth(admin_username="Zoë", admin_password="the first password")
    app = await start_auth(admin_username="mallory", admin_password="another password")
    client = client_from(app)
    first = await client.post("/token", data={"username": "zoë", "password": "the first password"})
    other = await client.post("/token", data={"username": "mallory", "password": "another password"})
    assert (first.status_code, other.status_code) == (200, 401)


async def test_tokens_stay_valid_over_a_restart(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    before = client_from(await start_auth())
    token = (await before.post("/token", data={"username": "admin", "password": admin_password})).json()["access_token"]
    after = client_from(await start_auth())
    assert (await after.get("/me", headers={"Authorization": f"Bearer {token}"})).status_code == 200


async def test_another_secret_key_is_refused_at_start(start_auth: StartAuth) -> None:
    await start_auth()
    with pytest.raises(SecretKeyMismatch, match="another SECRET_KEY"):
        await start_auth(secret_key="another secret key, also long enough")


async def test_an_empty_database_is_refused_with_what_to_do(db_url: str, start_auth: StartAuth) -> None:
    # start_auth migrated db_url; a second, empty database is what a forgotten migration looks like.
    app = await start_auth()
    async with app.state.sessions.begin() as session:
        await session.execute(select(1))
        connection = await session.connection()
        await connection.exec_driver_sql("DELETE FROM alembic_version")
    with pytest.raises(SchemaOutdated, match="python -m auth migrate"):
        await start_auth()
