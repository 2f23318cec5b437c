"""Rotation of the signing key while sessions continue."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import httpx
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text, update

from auth.keys.vault import Vault
from auth.tables import SigningKey
from common.settings import IdentitySettings
from common.testing import Clock
from common.web import TokenVerifier
from common.web.identity import CACHE_SECONDS

pytestmark = pytest.mark.integration

StartAuth = Callable[..., Awaitable[FastAPI]]
ClientFrom = Callable[..., httpx.AsyncClient]
LogIn = Callable[..., Awaitable[httpx.AsyncClient]]


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


async def test_rotation_does_not_disturb_a_verifier_with_cached_keys(
    auth: FastAPI, client_from: ClientFrom, log_in: LogIn
) -> None:
    settings = IdentitySettings(jwks_url="http://auth/.well-known/jwks.json")
    clock = Clock()
    verifier = TokenVerifier(settings, client_from(auth), clock=clock)

    async def token() -> tuple[str, str]:
        issued: str = (await log_in()).headers["authorization"].removeprefix("Bearer ")
        return issued, jwt.get_unverified_header(issued)["kid"]

    before, old = await token()
    assert (await verifier.verify(before)).username == "admin"

    admin = await log_in()
    rotated = await admin.post("/admin/keys/rotate")
    new = rotated.json()["kid"]
    assert rotated.status_code == 201
    pending = await admin.post("/admin/keys/rotate")
    assert (pending.status_code, pending.json()["code"]) == (409, "rotation_pending")
    assert [key["kid"] for key in (await admin.get("/admin/keys")).json()["items"]] == [new, old]
    # The old key signs while the new one is only served: cached keys suffice.
    meanwhile, signed_by = await token()
    assert signed_by == old
    assert (await verifier.verify(meanwhile)).username == "admin"

    # The new key signs after every cache has expired: each verifier has read both keys by then.
    announced = datetime.fromisoformat(rotated.json()["signs_from"]) - datetime.fromisoformat(
        rotated.json()["created_at"]
    )
    assert announced.total_seconds() > CACHE_SECONDS
    clock.now += CACHE_SECONDS + 1
    await verifier.verify(before)
    await change(auth, new, signs_from=func.now())
    after, signed_by = await token()
    assert signed_by == new
    for each in (before, meanwhile, after):
        assert (await verifier.verify(each)).username == "admin"

    # The old key is served until the last token that it signed has expired.
    async with auth.state.sessions() as session:
        served = await session.scalar(select(SigningKey.served_until).where(SigningKey.kid == old))
    last_signed = datetime.fromisoformat(rotated.json()["signs_from"])
    assert served is not None
    assert served - last_signed >= timedelta(hours=1)
    assert (await admin.get("/admin/audit", params={"kind": "signing_key_rotated"})).json()["items"]


async def test_replicas_replace_a_key_that_is_too_old_once(auth: FastAPI) -> None:
    rotation = auth.state.resources.rotation

    async def look() -> bool:
        async with auth.state.sessions.begin() as session:
            answer: bool = await rotation.rotate_if_due(session)
            return answer

    assert not await look()
    async with auth.state.sessions.begin() as session:
        await session.execute(update(SigningKey).values(signs_from=func.now() - timedelta(days=91)))
    assert sorted(await asyncio.gather(*(look() for _ in range(3)))) == [False, False, True]


async def test_service_is_not_ready_while_its_key_rotation_crashes(
    start_auth: StartAuth, client_from: ClientFrom
) -> None:
    first = await start_auth()
    async with first.state.sessions.begin() as session:
        await session.execute(update(SigningKey).values(signs_from=func.now() - timedelta(days=1000)))
        await session.execute(text("ALTER TABLE signing_keys ADD CONSTRAINT closed CHECK (false) NOT VALID"))
    ready = await client_from(first).get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]) == (200, ["background", "database"])

    client = client_from(await start_auth())
    async with asyncio.timeout(60):
        while (answer := await client.get("/health/ready")).json().get("failing") != ["background"]:  # noqa: ASYNC110 (no event)
            await asyncio.sleep(0.05)
    assert answer.status_code == 503
    assert "key rotation" in answer.json()["detail"]
