"""A token issuer for unit tests: it signs access tokens as the auth service does."""

import base64
import time
from typing import Any
from uuid import uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.settings import IdentitySettings
from common.web import TokenVerifier


class Issuer:
    """Signs access tokens; `verifier` accepts them."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def token(self, **changes: Any) -> str:
        now = int(time.time())
        claims = {"iss": "verbatim", "aud": "verbatim", "sub": str(uuid4()), "name": "ada", "role": "user", "gen": 1}
        claims |= {"iat": now, "exp": now + 600} | changes
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": "k1", "typ": "at+jwt"})

    def verifier(self, kind: type[TokenVerifier] = TokenVerifier) -> TokenVerifier:
        return kind(
            IdentitySettings(jwks_url="http://auth.test/jwks.json"),
            httpx.AsyncClient(transport=httpx.MockTransport(self._jwks)),
        )

    def _jwks(self, _: httpx.Request) -> httpx.Response:
        x = base64.urlsafe_b64encode(self._key.public_key().public_bytes_raw()).rstrip(b"=").decode()
        key = {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x, "alg": "EdDSA", "use": "sig"}
        return httpx.Response(200, json={"keys": [key]})
