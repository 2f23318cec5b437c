"""A token issuer for tests: it signs access tokens as the auth service does and serves its public keys."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.settings import IdentitySettings
from common.web import TokenVerifier

KEY_ID = "test-key"


def jwk(key_id: str, key: Ed25519PrivateKey | Ed448PrivateKey, **changes: Any) -> dict[str, Any]:
    """Return the public half of a key as auth publishes it, some members changed."""
    x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "kid": key_id, "x": x, "alg": "EdDSA", "use": "sig"} | changes


def unchecked_token(**claims: Any) -> str:
    """Return a token with these claims only, for code that reads claims without verifying the signature."""
    return jwt.encode(claims, "a secret of 32 or more bytes that no test verifies", algorithm="HS256")


class Issuer:
    """Signs access tokens; `document` is the JWKS with the key that verifies them."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.document: Any = {"keys": [jwk(KEY_ID, self.key)]}

    def token(
        self,
        user_id: UUID | None = None,
        *,
        lifetime: int = 600,
        key: Any = None,
        algorithm: str = "EdDSA",
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Return a token of a user; a claim or header that is changed to None is left out."""
        user_id, now = user_id or uuid4(), int(time.time())
        claims = {
            "iss": "verbatim",
            "aud": "verbatim",
            "sub": str(user_id),
            "name": f"user-{user_id.hex[:6]}",
            "role": "user",
            "iat": now,
            "exp": now + lifetime,
            "jti": uuid4().hex,
        } | changes
        claims, headers = (
            {name: value for name, value in part.items() if value is not None}
            for part in (claims, {"kid": KEY_ID, "typ": "at+jwt"} | (header or {}))
        )
        return jwt.encode(claims, self.key if key is None else key, algorithm=algorithm, headers=headers)

    def bearer(self, user_id: UUID | None = None, **changes: Any) -> dict[str, str]:
        """Return the Authorization header with such a token."""
        return {"Authorization": f"Bearer {self.token(user_id, **changes)}"}

    def verifier(self, kind: type[TokenVerifier] = TokenVerifier) -> TokenVerifier:
        """Return a verifier (of this class) that accepts the tokens; it reads `document` without a server."""
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=self.document))
        client = httpx.AsyncClient(transport=transport, trust_env=False)
        return kind(IdentitySettings(jwks_url="http://auth.test/jwks.json"), client)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve `document` over HTTP during the block; yields its address for JWKS_URL."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(issuer.document).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Write nothing to the test's output."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json"
            finally:
                server.shutdown()
                thread.join()
