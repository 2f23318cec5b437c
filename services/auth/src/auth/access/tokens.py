"""Access tokens, which every service verifies offline, and random tokens, which only auth can check."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt

from auth.keys.vault import Signer
from auth.tables import ApiKey, User
from common.web.identity import PASSWORD_SCOPE

CLOCK_SKEW = timedelta(seconds=60)
RANDOM_BYTES = 32
REFRESH_PREFIX = "vr_"
API_KEY_PREFIX = "vk_"


class TokenIssuer:
    """Issues access tokens for one issuer, audience and lifetime."""

    def __init__(self, *, issuer: str, audience: str, lifetime: timedelta) -> None:
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime

    @property
    def longest_remembered(self) -> timedelta:
        """The time after which every token that exists now has expired, by the clock of any service."""
        return self.lifetime + CLOCK_SKEW

    def for_session(self, user: User, session_id: UUID, signer: Signer) -> str:
        """A token of a session. While the password must be changed, the token permits only that."""
        scope = {"scope": PASSWORD_SCOPE} if user.must_change_password else {}
        return self._write(user, user.role, session_id, self.lifetime, signer, **scope)

    def for_api_key(self, user: User, key: ApiKey, lifetime: timedelta, signer: Signer) -> str:
        """A token (RFC 9068 header `at+jwt`) with the key's scopes; its role is `user` unless they include `admin`."""
        role = user.role if "admin" in key.scopes else "user"
        return self._write(user, role, key.id, lifetime, signer, scope=" ".join(key.scopes), api_key=True)

    def _write(
        self, user: User, role: str, session_id: UUID, lifetime: timedelta, signer: Signer, **further: Any
    ) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user.id),
            "name": user.username,
            "role": role,
            "iat": now,
            "exp": now + lifetime,
            "jti": uuid4().hex,
            "sid": str(session_id),
            "gen": user.generation,
        }
        headers = {"kid": signer.kid, "typ": "at+jwt"}
        return jwt.encode(claims | further, signer.key, algorithm="EdDSA", headers=headers)


def random_token(prefix: str) -> str:
    """A token of 256 random bits; the prefix names its kind."""
    return prefix + secrets.token_urlsafe(RANDOM_BYTES)


def digest(token: str) -> bytes:
    """The hash that is stored of a random token. The token cannot be guessed, so a fast hash is safe."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
