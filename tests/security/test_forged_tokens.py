"""Tokens forged in the ways that are known: no service believes one, at the gateway or at its own port."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from native.fleet import Fleet
from support.people import PASSWORD, SignUp, administrator, made_key, signing_key
from support.platform_client import PlatformClient

pytestmark = pytest.mark.e2e

# One guarded operation of each service, that an administrator may read.
GUARDED = {
    "auth": "/admin/users",
    "jobs": "/jobs",
    "metadata": f"/metadata/{uuid4()}",
    "cleanup": "/admin/storage",
}


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Has a genuine token and the public key; the private key serves only for tokens that lack something else."""

    def __init__(self, token: str, kid: str, key: Ed25519PrivateKey) -> None:
        self.token = token
        self.claims = jwt.decode(token, options={"verify_signature": False}) | {"role": "admin"}
        self.kid = kid
        self.key = key
        self.own = Ed25519PrivateKey.generate()

    @property
    def public(self) -> Ed25519PublicKey:
        return self.key.public_key()

    def signed(self, key: Ed25519PrivateKey, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of these claims, None for those that are missing, with a header that differs in this."""
        said = {name: value for name, value in (self.claims | claims).items() if value is not None}
        shown = {"alg": "EdDSA", "kid": self.kid, "typ": "at+jwt"} | (head or {})
        first = f"{encoded({name: value for name, value in shown.items() if value is not None})}.{encoded(said)}"
        return f"{first}.{encoded(key.sign(first.encode()))}"

    def with_secret(self, secret: bytes) -> str:
        """A token signed with HMAC under something that everybody knows."""
        first = f"{encoded({'alg': 'HS256', 'kid': self.kid, 'typ': 'at+jwt'})}.{encoded(self.claims)}"
        return f"{first}.{encoded(hmac.new(secret, first.encode(), hashlib.sha256).digest())}"

    def unsigned(self, algorithm: str) -> str:
        return f"{encoded({'alg': algorithm, 'kid': self.kid, 'typ': 'at+jwt'})}.{encoded(self.claims)}."


def signatures(by: Forger) -> Iterator[tuple[str, str]]:
    """Tokens that auth has not signed."""
    raw = by.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = by.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, secret in (("raw", raw), ("pem", pem), ("base64", encoded(raw).encode()), ("empty", b"")):
        yield f"HS256 with the public key ({name})", by.with_secret(secret)
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg {algorithm!r}", by.unsigned(algorithm)
    yield "foreign key", by.signed(by.own)
    head, body, signature = by.token.split(".")
    yield "tampered payload", f"{head}.{encoded(by.claims)}.{signature}"
    yield "no signature", f"{head}.{body}."
    yield "two parts", f"{head}.{body}"
    yield "trailing data", f"{by.token}x"
    yield "trailing part", f"{by.token}.x"
    yield "trailing padding", f"{by.token}===="
    yield "twice", f"{by.token} {by.token}"
    own = encoded(by.own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    key = {"kty": "OKP", "crv": "Ed25519", "x": own, "kid": by.kid, "alg": "EdDSA", "use": "sig"}
    yield "jwk in the header", by.signed(by.own, {"jwk": key})
    for name in ("jku", "x5u"):
        yield f"{name} in the header", by.signed(by.own, {name: "http://127.0.0.1:9/jwks.json"})
    for kid in (
        *("another", "", "../../../../../../dev/null", "/dev/null", "http://127.0.0.1:9/jwks.json", "k\0", "x" * 5000),
        *("' OR '1'='1", "'; DROP TABLE users; --", "' UNION SELECT 'x", "${jndi:ldap://127.0.0.1:9/x}", "\u202e"),
    ):
        yield f"kid {kid[:30]!r}", by.signed(by.own, {"kid": kid})
    for other in (None, 1, [by.kid], {"a": by.kid}, True):
        yield f"kid {other!r}"[:40], by.signed(by.own, {"kid": other})


def contents(by: Forger) -> Iterator[tuple[str, str]]:
    """Tokens with auth's own signature that say something else than an access token does."""
    now = int(time.time())
    claims: dict[str, dict[str, Any]] = {
        "no expiry": {"exp": None},
        "expired": {"exp": now - 3600, "iat": now - 7200},
        "expiry is text": {"exp": "tomorrow"},
        "not before tomorrow": {"nbf": now + 86_400},
        "issued tomorrow": {"iat": now + 86_400, "exp": now + 90_000},
        "no time of issue": {"iat": None},
        "no issuer": {"iss": None},
        "another issuer": {"iss": "elsewhere"},
        "no audience": {"aud": None},
        "another audience": {"aud": "elsewhere"},
        "other audiences": {"aud": ["elsewhere", "anywhere"]},
        "no subject": {"sub": None},
        "subject is no id": {"sub": "admin"},
        "subject is SQL": {"sub": "' OR 1=1 --"},
        "no role": {"role": None},
        "unknown role": {"role": "root"},
        "no name": {"name": None},
        "session is no id": {"sid": "x"},
        "generation is text": {"gen": "9"},
        "scope is a list": {"scope": ["read", "write", "admin"]},
    }
    for name, changes in claims.items():
        yield name, by.signed(by.key, None, **changes)
    for kind in ("JWT", "rt+jwt", "refresh", "", None, "at+jwt+x"):
        yield f"typ {kind!r}", by.signed(by.key, {"typ": kind})


def texts(by: Forger, key: str, refresh: str) -> Iterator[tuple[str, str]]:
    """What is no token at all."""
    yield "refresh token", refresh
    yield "a key with another secret", key[:10] + "A" * (len(key) - 10)
    yield "a key and more", f"{key}x"
    yield "half a key", key[:20]
    for text in (
        "vk_",
        "vk_ x",
        "vk_" + "x" * 5000,
        "vk_' OR 1=1 --",
        "vk_\u00e9",
        "null",
        "undefined",
        "..",
        "e30.e30.",
    ):
        yield text[:20], text
    yield "60 kB", "x" * 60_000
    yield "a token and 50 kB", by.token + "x" * 50_000


@pytest.fixture(scope="module")
def ada(sign_up: SignUp) -> PlatformClient:
    return sign_up("ada-of-tokens")


@pytest.fixture(scope="module")
def forger(quick_fleet: Fleet) -> Iterator[Forger]:
    """Forges from an administrator's token, so that nothing but the forgery is a reason to refuse."""
    with administrator(quick_fleet) as admin:
        yield Forger(admin.token, *signing_key(quick_fleet))


def shown(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"Authorization", b"Bearer " + token.encode("latin-1", "replace"))]


def refused(client: httpx.Client, path: str, headers: Any, what: str) -> None:
    answer = client.get(path, headers=headers)
    # A head that is too long ends before anybody looks at it.
    assert answer.status_code in (401, 400, 431), f"{what} at {client.base_url}{path}: {answer.status_code}"
    if answer.status_code == 401:
        assert answer.headers["content-type"] == "application/problem+json", what
        assert answer.headers["www-authenticate"].startswith("Bearer"), what
        assert len(answer.text) < 2000, what


@pytest.mark.parametrize("service", GUARDED)
def test_forged_tokens_open_nothing(quick_fleet: Fleet, forger: Forger, ada: PlatformClient, service: str) -> None:
    path, genuine = GUARDED[service], shown(forger.token)
    login = {"username": "ada-of-tokens", "password": PASSWORD}
    refresh = ada.http.post("/token", data=login).raise_for_status().json()["refresh_token"]
    forged = [*signatures(forger), *contents(forger), *texts(forger, made_key(ada, "read")["key"], refresh)]
    for port in ("gateway", service):
        with httpx.Client(base_url=quick_fleet.url(port), timeout=30) as client:
            for what, token in forged:
                refused(client, path, shown(token), what)
            assert client.get(path, headers=genuine).status_code in (200, 404), "the genuine one is good there"


def test_only_the_bearer_scheme_counts_in_any_case(quick_fleet: Fleet, forger: Forger) -> None:
    with httpx.Client(base_url=quick_fleet.url("gateway"), timeout=30) as client:
        for scheme in ("bearer", "BEARER", "Bearer"):
            assert client.get("/admin/users", headers={"Authorization": f"{scheme} {forger.token}"}).status_code == 200
        for scheme in ("", "Bearer", "Basic ", "Token ", "Bearer: ", "Bearer Bearer ", '"Bearer" '):
            refused(client, "/admin/users", {"Authorization": f"{scheme}{forger.token}"}, f"scheme {scheme!r}")
        refused(client, "/admin/users", [(b"Authorization", b"Bearer \xff\xfe")], "bytes")
        for place in ("access_token", "token"):
            refused(client, f"/admin/users?{place}={forger.token}", {}, "a token in the address")
        refused(client, "/admin/users", {"Cookie": f"access_token={forger.token}"}, "a cookie")


def test_of_two_credentials_none_lifts_the_other(quick_fleet: Fleet, forger: Forger, ada: PlatformClient) -> None:
    """Whichever of two headers is read, it is read the same at the gateway and at the service behind it."""
    user, forged = shown(ada.token), shown(forger.signed(forger.own))
    with httpx.Client(base_url=quick_fleet.url("gateway"), timeout=30) as client:
        for headers in ([*user, *forged], [*forged, *user]):
            assert client.get("/admin/users", headers=headers).status_code in (401, 403)
        key = made_key(ada, "read")["key"].encode()
        for headers in ([*user, (b"X-API-Key", b"vk_x")], [*forged, (b"X-API-Key", key)]):
            assert client.get("/admin/users", headers=headers).status_code in (401, 403)
