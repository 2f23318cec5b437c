"""People of a platform for tests of their rights: they sign up, make keys, and lose their access in every way."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth.keys.vault import Vault
from auth.tables import SigningKey
from native import bootstrap, postgres
from native.fleet import Fleet

from .platform_client import PlatformClient

PASSWORD = "an unlikely phrase 4711"


SignUp = Callable[[str], PlatformClient]


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token or an API key."""
    return {"Authorization": f"Bearer {token}"}


def signed_up(fleet: Fleet, name: str) -> PlatformClient:
    """An ordinary user, signed in."""
    url = fleet.url("gateway")
    httpx.post(f"{url}/register", json={"username": name, "password": PASSWORD}, timeout=30).raise_for_status()
    return PlatformClient(url, name, PASSWORD)


@contextmanager
def administrator(fleet: Fleet) -> Iterator[PlatformClient]:
    """The first admin, signed in."""
    client = PlatformClient(fleet.url("gateway"), *fleet.credentials)
    yield client
    client.close()


def user_id(client: PlatformClient) -> str:
    """The id of the account."""
    return str(client.http.get("/me").raise_for_status().json()["user_id"])


def made_key(client: PlatformClient, *scopes: str) -> dict[str, Any]:
    """A new API key of the user; its text is under `key`."""
    answer = client.http.post("/api-keys", json={"name": " ".join(scopes), "scopes": scopes})
    made: dict[str, Any] = answer.raise_for_status().json()
    return made


def signing_key(fleet: Fleet) -> tuple[str, Ed25519PrivateKey]:
    """The key that auth signs with and its id, opened as only auth can."""
    return asyncio.run(_signing_key(fleet))


async def _signing_key(fleet: Fleet) -> tuple[str, Ed25519PrivateKey]:
    port = fleet.state.ports(postgres.NAME)[postgres.NAME]
    password = bootstrap.role_password(fleet.state, "auth")
    url = postgres.service_url(port, "auth", password, bootstrap.DATABASE)
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        row = await connection.fetchrow("SELECT kid, sealed_key FROM signing_keys WHERE signs_from <= now() LIMIT 1")
    finally:
        await connection.close()
    signer = Vault(fleet.state.secret("secret_key")).open(SigningKey(kid=row["kid"], sealed_key=row["sealed_key"]))
    return signer.kid, signer.key


@dataclass(frozen=True)
class Ending:
    """A way in which somebody's access ends while it is in use."""

    name: str
    by_key: bool
    end: Callable[[PlatformClient, PlatformClient, str], Any]

    def __str__(self) -> str:
        return self.name


def _changed_elsewhere(_admin: PlatformClient, user: PlatformClient, name: str) -> None:
    elsewhere = PlatformClient(user.url, name, PASSWORD)
    change = {"current_password": PASSWORD, "new_password": f"{PASSWORD} and more"}
    elsewhere.http.put("/me/password", json=change).raise_for_status()
    elsewhere.close()


def _revoked(_admin: PlatformClient, user: PlatformClient, _name: str) -> None:
    for key in user.http.get("/api-keys").raise_for_status().json()["items"]:
        user.http.delete(f"/api-keys/{key['id']}").raise_for_status()


def _by_admin(method: str, path: str, body: Any = None) -> Callable[[PlatformClient, PlatformClient, str], None]:
    def end(admin: PlatformClient, user: PlatformClient, _name: str) -> None:
        address = f"/admin/users/{user_id(user)}{path}"
        admin.http.request(method, address, json=body).raise_for_status()

    return end


DELETED = Ending("deleted", False, _by_admin("DELETE", ""))
ENDINGS = (
    DELETED,
    Ending("disabled", False, _by_admin("PATCH", "", {"disabled": True})),
    Ending("logged out", False, lambda _admin, user, _name: user.http.post("/logout").raise_for_status()),
    Ending("password reset", False, _by_admin("POST", "/reset-password")),
    Ending("password changed elsewhere", False, _changed_elsewhere),
    Ending("key revoked", True, _revoked),
    Ending("password of the key's owner reset", True, _by_admin("POST", "/reset-password")),
    Ending("owner of the key deleted", True, _by_admin("DELETE", "")),
)
