"""Access tokens, which the other services check without asking, and the random ones that only auth knows."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt

from common.web.identity import PASSWORD_SCOPE

from .keys import Signer
from .tables import ApiKey, User

CLOCKS_DIFFER = timedelta(seconds=60)
RANDOM_BYTES = 32
REFRESH_PREFIX = "vr_"
API_KEY_PREFIX = "vk_"


class TokenIssuer:
    """Writes tokens for one issuer, audience and lifetime."""

    def __init__(self, *, issuer: str, audience: str, lifetime: timedelta) -> None:
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime

    @property
    def longest_remembered(self) -> timedelta:
        """The time after which no token that exists now is valid, whoever's clock is asked."""
        return self.lifetime + CLOCKS_DIFFER

    def for_session(self, user: User, session_id: UUID, signer: Signer) -> str:
        """A token of a session; with a password that must be changed it is good for nothing else."""
        scope = {"scope": PASSWORD_SCOPE} if user.must_change_password else {}
        return self._write(user, user.role, session_id, self.lifetime, signer, **scope)

    def for_api_key(self, user: User, key: ApiKey, lifetime: timedelta, signer: Signer) -> str:
        """A token (RFC 9068 header `at+jwt`) with the key's scopes; without `admin` among them it is a plain user's."""
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
    """A token of 256 random bits that says by its prefix what it is."""
    return prefix + secrets.token_urlsafe(RANDOM_BYTES)


def digest(token: str) -> bytes:
    """What is stored in place of a random token: it cannot be guessed, so it needs no slow hash."""
    return hashlib.sha256(token.encode()).digest()
