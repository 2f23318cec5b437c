"""Access tokens: short-lived JWTs that the other services check without asking."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt

from .keys import Signer
from .tables import User


class TokenIssuer:
    """Writes tokens for one issuer, audience and lifetime."""

    def __init__(self, *, issuer: str, audience: str, lifetime: timedelta) -> None:
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime

    def issue(self, user: User, signer: Signer) -> str:
        """A signed access token (RFC 9068 header `at+jwt`) for this user."""
        now = datetime.now(UTC)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user.id),
            "name": user.username,
            "role": user.role,
            "iat": now,
            "exp": now + self.lifetime,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, signer.key, algorithm="EdDSA", headers={"kid": signer.kid, "typ": "at+jwt"})
