"""Tokens: only Ed25519 access tokens of our auth service are accepted, with keys that survive its absence."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI, Response

from common.settings import IdentitySettings
from common.testing import Clock, Issuer
from common.testing.identity import jwk
from common.web import Forbidden, TokenVerifier, Unauthorized, Unavailable, bearer_token
from common.web.identity import CACHE_SECONDS, REFETCH_SECONDS, RETRY_SECONDS, TokenExpired

USER = uuid4()


class Auth(Issuer):
    """An auth service as far as its keys go: an application that counts requests and can be taken down."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.being_asked = asyncio.Event()
        self.down = False
        self.app = FastAPI()
        self.app.add_api_route("/.well-known/jwks.json", self._jwks)

    def token(self, user_id: UUID | None = USER, **changes: Any) -> str:
        return super().token(user_id, **changes)

    async def _jwks(self) -> Any:
        self.asked += 1
        self.being_asked.set()
        await asyncio.sleep(0.01)  # long enough for others to come and ask meanwhile
        return Response(status_code=503) if self.down else self.document


@pytest.fixture
def auth() -> Auth:
    return Auth()


@pytest.fixture
async def verifier(auth: Auth, clock: Clock) -> AsyncIterator[TokenVerifier]:
    settings = IdentitySettings(jwks_url="http://auth/.well-known/jwks.json")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(auth.app)) as client:
        yield TokenVerifier(settings, client, clock=clock)


async def test_a_valid_token_speaks_for_its_user(auth: Auth, verifier: TokenVerifier) -> None:
    token = auth.token(name="ada")
    identity = await verifier.verify(token)
    assert (identity.user_id, identity.username, identity.role) == (USER, "ada", "user")
    assert not identity.is_admin
    assert identity.token == token
    assert token not in repr(identity)
    assert (await verifier.verify(auth.token(role="admin"))).is_admin


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "somebody-else"},
        {"aud": None},
        {"iss": "somebody-else"},
        {"iss": None},
        {"exp": None},
        {"iat": None},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"sub": None},
        {"sub": "ada"},
        {"name": None},
        {"name": 7},
        {"role": None},
        {"role": "root"},
    ],
    ids=lambda changes: str(next(iter(changes))),
)
async def test_wrong_claims_are_refused(auth: Auth, verifier: TokenVerifier, changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized) as refused:
        await verifier.verify(auth.token(**changes))
    assert refused.value.code == "invalid_token"
    assert refused.value.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}


async def test_an_expired_token_is_told_apart(auth: Auth, verifier: TokenVerifier) -> None:
    with pytest.raises(TokenExpired):
        await verifier.verify(auth.token(exp=int(time.time()) - 60))


async def test_clocks_may_differ_by_a_little(auth: Auth, verifier: TokenVerifier) -> None:
    now = int(time.time())
    await verifier.verify(auth.token(iat=now + 2, exp=now - 2))


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": None}, {"kid": None}, {"kid": ""}], ids=str)
async def test_tokens_of_another_kind_are_refused(
    auth: Auth, verifier: TokenVerifier, header: dict[str, str | None]
) -> None:
    with pytest.raises(Unauthorized):
        await verifier.verify(auth.token(header=header))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "ä.ö.ü", "e30.e30.e30"])
async def test_what_is_no_token_at_all_is_refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(Unauthorized):
        await verifier.verify(token)


async def test_unsigned_tokens_are_refused(auth: Auth, verifier: TokenVerifier) -> None:
    with pytest.raises(Unauthorized):
        await verifier.verify(auth.token(key="", algorithm="none"))


async def test_the_public_key_is_no_shared_secret(auth: Auth, verifier: TokenVerifier) -> None:
    public = auth.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    with pytest.raises(Unauthorized):
        await verifier.verify(auth.token(key=public, algorithm="HS256"))


async def test_a_foreign_signature_under_our_key_id_is_refused(auth: Auth, verifier: TokenVerifier) -> None:
    with pytest.raises(Unauthorized):
        await verifier.verify(auth.token(key=Ed25519PrivateKey.generate()))


async def test_a_changed_token_is_refused(auth: Auth, verifier: TokenVerifier) -> None:
    header, _, signature = auth.token().split(".")
    _, claims, _ = auth.token(role="admin").split(".")
    with pytest.raises(Unauthorized):
        await verifier.verify(f"{header}.{claims}.{signature}")


async def test_keys_of_other_kinds_are_passed_over(auth: Auth, verifier: TokenVerifier) -> None:
    other = Ed448PrivateKey.generate()
    auth.document["keys"] += [
        jwk("ed448", other, crv="Ed448"),
        jwk("ec", auth.key, kty="EC"),
        jwk("encryption", auth.key, use="enc"),
        jwk("other", auth.key, alg="ES256"),
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
        {"kty": "OKP"},
        "nonsense",
    ]
    await verifier.verify(auth.token())
    for key_id, key in (("ed448", other), ("ec", None), ("encryption", None), ("other", None)):
        with pytest.raises(Unauthorized):
            await verifier.verify(auth.token(key=key, header={"kid": key_id}))


async def test_keys_are_fetched_once_for_all_who_come_at_the_same_time(auth: Auth, verifier: TokenVerifier) -> None:
    await asyncio.gather(*(verifier.verify(auth.token()) for _ in range(20)))
    assert auth.asked == 1


async def test_keys_are_fetched_again_when_they_are_old(auth: Auth, verifier: TokenVerifier, clock: Clock) -> None:
    await verifier.verify(auth.token())
    clock.now += CACHE_SECONDS - 1
    await verifier.verify(auth.token())
    assert auth.asked == 1
    clock.now += 2
    await verifier.verify(auth.token())
    assert auth.asked == 2


async def test_a_withdrawn_key_is_not_believed_any_more(auth: Auth, verifier: TokenVerifier, clock: Clock) -> None:
    token = auth.token()
    await verifier.verify(token)
    auth.document = {"keys": [jwk("k2", Ed25519PrivateKey.generate())]}
    clock.now += CACHE_SECONDS + 1
    with pytest.raises(Unauthorized):
        await verifier.verify(token)


async def test_an_unknown_key_id_fetches_at_most_once_per_half_minute(
    auth: Auth, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(auth.token())
    clock.now += REFETCH_SECONDS
    new = Ed25519PrivateKey.generate()
    auth.document["keys"].append(jwk("k2", new))
    rotated = auth.token(key=new, header={"kid": "k2"})
    await verifier.verify(rotated)
    assert auth.asked == 2
    for _ in range(10):
        with pytest.raises(Unauthorized):
            await verifier.verify(auth.token(header={"kid": uuid4().hex}))
    assert auth.asked == 2
    clock.now += REFETCH_SECONDS
    with pytest.raises(Unauthorized):
        await verifier.verify(auth.token(header={"kid": "k3"}))
    assert auth.asked == 3
    await verifier.verify(rotated)


async def test_the_last_good_keys_stay_while_auth_is_down(auth: Auth, verifier: TokenVerifier, clock: Clock) -> None:
    await verifier.verify(auth.token())
    auth.down = True
    for _ in range(5):
        clock.now += CACHE_SECONDS + 1
        await verifier.verify(auth.token())
        await verifier.verify(auth.token())
    assert auth.asked == 1 + 5  # asked once per period, not once per request


@pytest.mark.parametrize(
    "document", [{"keys": []}, {}, [], "text", {"keys": "text"}, {"keys": [{"kty": "RSA"}]}], ids=str
)
async def test_the_last_good_keys_stay_when_the_answer_is_unusable(
    auth: Auth, verifier: TokenVerifier, clock: Clock, document: Any
) -> None:
    await verifier.verify(auth.token())
    auth.document = document
    clock.now += CACHE_SECONDS + 1
    await verifier.verify(auth.token())


async def test_a_malformed_key_spoils_nothing(auth: Auth, verifier: TokenVerifier) -> None:
    auth.document["keys"].append(jwk("short", auth.key, x="AAAA"))
    await verifier.verify(auth.token())


async def test_before_any_keys_were_seen_nobody_can_be_checked(
    auth: Auth, verifier: TokenVerifier, clock: Clock
) -> None:
    auth.down = True
    for _ in range(3):
        with pytest.raises(Unavailable) as unavailable:
            await verifier.verify(auth.token())
    assert unavailable.value.headers["Retry-After"]
    assert auth.asked == 1
    auth.down = False
    clock.now += RETRY_SECONDS
    await verifier.verify(auth.token())


async def test_a_slow_auth_service_holds_up_nobody_whose_key_is_known(
    auth: Auth, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(auth.token())
    clock.now += CACHE_SECONDS + 1
    auth.being_asked.clear()
    refresher = asyncio.create_task(verifier.verify(auth.token()))
    await auth.being_asked.wait()
    bystander = asyncio.create_task(verifier.verify(auth.token()))
    await asyncio.wait([refresher, bystander], return_when=asyncio.FIRST_COMPLETED)
    assert bystander.done()
    assert not refresher.done()
    await refresher


async def test_a_client_of_its_own_is_closed() -> None:
    verifier = TokenVerifier(IdentitySettings(jwks_url="http://127.0.0.1:9/"))
    with pytest.raises(Unavailable):
        await verifier.verify(Auth().token())
    await verifier.close()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        (None, None),
    ],
)
def test_the_token_of_an_authorization_header(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token


async def test_session_token_is_good_for_everything_and_names_its_session(auth: Auth, verifier: TokenVerifier) -> None:
    session = uuid4()
    who = await verifier.verify(auth.token(sid=str(session), gen=3), "DELETE")
    assert (who.session_id, who.generation, who.scopes, who.is_api_key) == (session, 3, None, False)


@pytest.mark.parametrize(
    ("scope", "method", "refusal"),
    [
        ("read", "GET", None),
        ("read", "HEAD", None),
        ("read", "POST", "scope_missing"),
        ("read", "DELETE", "scope_missing"),
        ("read write", "PATCH", None),
        ("", "GET", "scope_missing"),
        ("admin", "GET", "scope_missing"),
        ("password", "GET", "password_change_required"),
        ("password read write", "PUT", "password_change_required"),
    ],
)
async def test_scopes_limit_what_a_token_is_good_for(
    auth: Auth, verifier: TokenVerifier, scope: str, method: str, refusal: str | None
) -> None:
    token = auth.token(scope=scope, api_key=True)
    assert (await verifier.verify(token, None)).is_api_key
    if refusal is None:
        assert (await verifier.verify(token, method)).user_id == USER
    else:
        with pytest.raises(Forbidden) as refused:
            await verifier.verify(token, method)
        assert refused.value.code == refusal


@pytest.mark.parametrize("claims", [{"sid": "x"}, {"sid": 7}, {"gen": "1"}, {"scope": ["read"]}])
async def test_claims_of_another_form_are_refused(auth: Auth, verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        await verifier.verify(auth.token(**claims))


async def test_keys_are_fetched_past_every_proxy_of_the_environment(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.dumps(auth.document).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(document) + document)
        await writer.drain()
        writer.close()

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for spelt in (name, name.lower()):
            monkeypatch.setenv(spelt, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        verifier = TokenVerifier(IdentitySettings(jwks_url=f"http://127.0.0.1:{port}/jwks.json"))
        assert (await verifier.verify(auth.token())).user_id == USER
        await verifier.close()
