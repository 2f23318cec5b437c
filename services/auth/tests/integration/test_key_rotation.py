"""Several keys are served at once, so that they can be exchanged while people work."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import func, update

from auth.keys import Vault
from auth.tables import SigningKey

pytestmark = pytest.mark.integration

StartAuth = Callable[..., Awaitable[FastAPI]]
ClientFrom = Callable[..., httpx.AsyncClient]


async def change(app: FastAPI, kid: str, **values: object) -> None:
    async with app.state.sessions.begin() as session:
        await session.execute(update(SigningKey).where(SigningKey.kid == kid).values(values))


async def test_a_new_key_is_served_before_it_signs_and_the_old_one_while_its_tokens_live(
    start_auth: StartAuth, client_from: ClientFrom, admin_password: str
) -> None:
    app = await start_auth()
    client = client_from(app)

    async def signed_by() -> tuple[str, str]:
        answer = await client.post("/token", data={"username": "admin", "password": admin_password})
        token: str = answer.json()["access_token"]
        return token, jwt.get_unverified_header(token)["kid"]

    async def served() -> set[str]:
        return {key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]}

    old_token, old = await signed_by()
    row = Vault("a secret key for tests, long enough").generate()
    new = row.kid
    async with app.state.sessions.begin() as session:
        row.signs_from = func.now() + timedelta(minutes=10)
        session.add(row)
    assert await served() == {old, new}
    assert (await signed_by())[1] == old

    await change(app, new, signs_from=func.now())
    assert (await signed_by())[1] == new
    assert (await client.get("/me", headers={"Authorization": f"Bearer {old_token}"})).status_code == 200

    await change(app, old, served_until=func.now())
    assert await served() == {new}
