"""Authentication: bearer tokens, verified offline with the public keys of the auth service."""

import asyncio
import base64
import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from common.settings import IdentitySettings

from .errors import Forbidden, Problem, Unauthorized, Unavailable

log = structlog.get_logger(__name__)

CACHE_SECONDS = 300.0
REFETCH_SECONDS = 30.0  # between fetches for an unknown key id, or after a failed fetch while keys are cached
RETRY_SECONDS = 1.0  # between fetches until the first keys are cached
LEEWAY_SECONDS = 5  # clocks differ
FETCH_TIMEOUT_SECONDS = 5.0
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a kind of token, not one
PASSWORD_SCOPE = "password"  # noqa: S105 - the scope of a token that is only good for changing the password
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class InvalidToken(Unauthorized):
    """The token is not valid."""

    code = "invalid_token"
    title = "The token is not valid"
    default_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class TokenExpired(InvalidToken):
    """The token has expired."""

    code = "token_expired"
    title = "The token has expired"


class AccessEnded(InvalidToken):
    """The token was revoked before it expired."""

    code = "session_ended"
    title = "The session has ended"


class KeysUnavailable(Unavailable):
    """The public keys are not available yet, so tokens cannot be verified."""

    code = "identity_unavailable"
    title = "Sign-in cannot be checked"


class NotAdmin(Forbidden):
    """Only administrators may use this operation."""

    code = "admin_only"


class ScopeMissing(Forbidden):
    """The API key does not have the scope that this request needs."""

    code = "scope_missing"
    title = "Not with this API key"


class PasswordChangeRequired(Forbidden):
    """The password was set by an administrator and must be changed before anything else."""

    code = "password_change_required"
    title = "Change your password first"


@dataclass(frozen=True)
class Identity:
    """The user behind a verified token.

    `session_id` names the session, or the API key, that the token was issued for; `generation` counts how often the
    user's tokens were revoked before it. `scopes` limit the use of the token; None means no limit.
    `expires_at` is in seconds since the epoch.
    """

    user_id: UUID
    username: str
    role: Literal["admin", "user"]
    token: str = field(repr=False)
    session_id: UUID | None = None
    generation: int = 1
    scopes: frozenset[str] | None = None
    is_api_key: bool = False
    expires_at: float = math.inf

    @property
    def is_admin(self) -> bool:
        """Whether the user has the role of an administrator."""
        return self.role == "admin"

    def may_use(self, method: str) -> None:
        """Raise unless the token's scopes allow the HTTP method: reading needs `read`, everything else `write`."""
        if self.scopes is None:
            return
        if PASSWORD_SCOPE in self.scopes:
            raise PasswordChangeRequired("Change your password first (PUT /me/password), then refresh your token.")
        needed = "read" if method in READING_METHODS else "write"
        if needed not in self.scopes:
            raise ScopeMissing(f"This API key lacks the scope {needed!r}.", scope=needed)


class TokenVerifier:
    """Verifies access tokens with cached public keys; the auth service may be down for a long time."""

    def __init__(
        self,
        settings: IdentitySettings,
        client: httpx.AsyncClient | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Creates, and later closes, a client unless one is given."""
        self._clock = clock
        self._settings = settings
        # Not through a proxy of the environment: it could answer with its own keys.
        self._client = client or httpx.AsyncClient(timeout=FETCH_TIMEOUT_SECONDS, trust_env=False)
        self._owns_client = client is None
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched = self._tried = float("-inf")
        self._fetching = asyncio.Lock()

    async def verify(self, token: str, method: str | None = "GET") -> Identity:
        """Return the user of a token. Raises Unauthorized, or Unavailable until the first keys are fetched.

        Raises Forbidden if the token's scopes do not allow `method`; None needs no scope.
        """
        key = await self._key(_key_id(token))
        if key is None:
            raise InvalidToken("The token is signed with a key that is not in use.")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=self._settings.token_audience,
                issuer=self._settings.token_issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["iss", "aud", "sub", "exp", "iat"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("The token has expired. Sign in again.") from None
        except jwt.InvalidTokenError as error:
            raise InvalidToken(f"The token is not valid: {error}.") from None
        verified = _identity(claims, token)
        if method is not None:
            verified.may_use(method)
        return verified

    async def close(self) -> None:
        """Close the client unless it was given."""
        if self._owns_client:
            await self._client.aclose()

    async def _key(self, key_id: str) -> Ed25519PublicKey | None:
        now = self._clock()
        fresh = now - self._fetched < CACHE_SECONDS
        # During a fetch the cached keys are used, so that requests do not wait for the auth service.
        if key_id not in self._keys or not (fresh or self._fetching.locked()):
            await self._refresh(key_id)
        if not self._keys:
            raise KeysUnavailable("The public keys for tokens are not available. Try again shortly.")
        return self._keys.get(key_id)

    async def _refresh(self, key_id: str) -> None:
        async with self._fetching:
            now = self._clock()
            fresh = now - self._fetched < CACHE_SECONDS
            pause = REFETCH_SECONDS if self._keys else RETRY_SECONDS
            if now - self._tried < pause or (fresh and key_id in self._keys):
                return
            self._tried = now
            try:
                self._keys = await self._fetch()
                self._fetched = now
            except (httpx.HTTPError, ValueError) as error:
                log.warning("public keys not fetched", error=f"{type(error).__name__}: {error}", kept=len(self._keys))

    async def _fetch(self) -> dict[str, Ed25519PublicKey]:
        response = await self._client.get(self._settings.jwks_url)
        response.raise_for_status()
        document = response.json()
        listed = document.get("keys") if isinstance(document, dict) else None
        keys = dict(_usable_keys(listed if isinstance(listed, list) else []))
        if not keys:
            raise ValueError("the answer holds no usable key")
        return keys


def bearer_token(authorization: str | None) -> str | None:
    """The token of an Authorization header, None if there is none; for WebSockets, which cannot use IdentityDep."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _key_id(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise InvalidToken("The token is not a JSON Web Token.") from None
    key_id = header.get("kid")
    if header.get("alg") != "EdDSA" or str(header.get("typ")).lower() != TOKEN_TYPE or not isinstance(key_id, str):
        raise InvalidToken("The token is of another kind.")
    return key_id


def _identity(claims: dict[str, Any], token: str) -> Identity:
    username, role = claims.get("name"), claims.get("role")
    try:
        user_id = UUID(claims["sub"])
    except ValueError:
        raise InvalidToken("The token names no user.") from None
    if not isinstance(username, str) or role not in ("admin", "user"):
        raise InvalidToken("The token lacks a name or a role.")
    session_id, generation, scope = claims.get("sid"), claims.get("gen", 1), claims.get("scope")
    try:
        session = None if session_id is None else UUID(session_id)
    except (ValueError, AttributeError):
        raise InvalidToken("The token names no session.") from None
    if not isinstance(generation, int) or not isinstance(scope, str | None):
        raise InvalidToken("The token's scope or generation has another form.")
    scopes = None if scope is None else frozenset(scope.split())
    is_api_key = claims.get("api_key") is True
    return Identity(user_id, username, role, token, session, generation, scopes, is_api_key, float(claims["exp"]))


def _usable_keys(listed: list[Any]) -> list[tuple[str, Ed25519PublicKey]]:
    """The Ed25519 signing keys among the entries of a JWKS; others are skipped."""
    usable = []
    for entry in listed:
        match entry:
            case {"kty": "OKP", "crv": "Ed25519", "kid": str(key_id), "x": str(x)} if (
                entry.get("alg", "EdDSA") == "EdDSA" and entry.get("use", "sig") == "sig"
            ):
                with contextlib.suppress(ValueError):  # not base64, or not 32 bytes
                    usable.append((key_id, Ed25519PublicKey.from_public_bytes(_decoded(x))))
    return usable


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="An access token from POST /token, or an API key."
)


async def identity(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Identity:
    """The user behind a request's bearer token, verified by `request.app.state.verifier` unless it already was.

    Raises Unauthorized, or Forbidden if the token's scopes do not allow the request's method.
    """
    return await _verified(request, credentials, request.method)


async def limited_identity(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Identity:
    """Like `identity` but for any scopes: for operations that are allowed before a required password change."""
    return await _verified(request, credentials, None)


async def _verified(request: Request, credentials: HTTPAuthorizationCredentials | None, method: str | None) -> Identity:
    if credentials is None:
        raise Unauthorized("Sign in first: the request carries no bearer token.")
    # The gateway authenticates before the routes: an identity, or the reason why the token is not valid.
    outcome: Identity | Problem | None = getattr(request.state, "authentication", None)
    if outcome is None:
        verifier: TokenVerifier = request.app.state.verifier
        return await verifier.verify(credentials.credentials, method)
    if isinstance(outcome, Problem):
        raise outcome
    if method is not None:
        outcome.may_use(method)
    return outcome


async def admin(identity: Annotated[Identity, Depends(identity)]) -> Identity:
    """Like `identity`, but raises Forbidden unless the user is an administrator."""
    if not identity.is_admin:
        raise NotAdmin("Only administrators may use this operation.")
    return identity


IdentityDep = Annotated[Identity, Depends(identity)]
# The role is in the OpenAPI document; the gateway and the tests of permissions read it there.
AdminDep = Annotated[Identity, Security(admin, scopes=["admin"])]
