"""API keys: each is exchanged at auth for a short-lived access token, which is cached for some minutes."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from starlette.requests import HTTPConnection

from common.web.addresses import address_group, client_address
from common.web.identity import PasswordChangeRequired
from gateway.errors import InvalidApiKey, ServiceUnavailable
from gateway.relay.upstreams import Upstream

from .limits import RateLimit
from .revocations import Claims, Revocations

log = structlog.get_logger(__name__)

PREFIX = "vk_"
# Then the key is exchanged again, so that auth records its use. Shorter than a token's lifetime.
CACHE_SECONDS = 300.0
# A token that is about to expire could do so before it reaches a service.
MARGIN_SECONDS = 10.0
MAX_KEYS = 10_000
EXCHANGE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Cached:
    token: str
    claims: Claims
    fresh_until: float
    expires: float


class ApiKeys:
    """A cache of the tokens of API keys; the keys are not stored, only their hashes."""

    def __init__(
        self,
        auth: Upstream,
        revocations: Revocations,
        limit: RateLimit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limit` limits the exchanges of an address, so that guessed keys do not flood auth."""
        self._auth = auth
        self._revocations = revocations
        self._limit = limit
        self._clock = clock
        self._cached: OrderedDict[bytes, _Cached] = OrderedDict()

    async def token(self, key: str, caller: HTTPConnection) -> str:
        """An access token for the key.

        Raises InvalidApiKey, PasswordChangeRequired, ServiceUnavailable or TooManyLogins.
        """
        name = hashlib.sha256(key.encode()).digest()
        cached = self._cached.get(name)
        now = self._clock()
        if cached is not None and (cached.expires <= now or self._revocations.has_ended(cached.claims)):
            # The token was revoked, or its owner's role has changed: exchange the key again.
            del self._cached[name]
            cached = None
        if cached is not None and cached.fresh_until > now:
            return cached.token
        try:
            fresh = await self._exchange(key, caller)
        except ServiceUnavailable:
            if cached is None:
                raise
            return cached.token
        except (InvalidApiKey, PasswordChangeRequired):
            self._cached.pop(name, None)
            raise
        self._cached[name] = fresh
        self._cached.move_to_end(name)
        if len(self._cached) > MAX_KEYS:
            self._cached.popitem(last=False)
        return fresh.token

    async def _exchange(self, key: str, caller: HTTPConnection) -> _Cached:
        self._limit.take(address_group(client_address(caller)))
        answer = await self._auth.call(
            "POST", "/internal/api-keys/exchange", json={"key": key}, timeout=EXCHANGE_SECONDS
        )
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise InvalidApiKey("The API key is unknown, revoked or expired.")
        if answer.is_error and answer.json().get("code") == PasswordChangeRequired.code:
            raise PasswordChangeRequired("The owner of this API key must change the password first (PUT /me/password).")
        if answer.is_error:
            log.warning("API key exchange failed", status=answer.status_code)
            raise ServiceUnavailable(
                "The auth service cannot verify API keys now; try again in a moment.",
                upstream=self._auth.name,
                sent=True,
            )
        body = answer.json()
        token, expires = body["access_token"], self._clock() + body["expires_in"] - MARGIN_SECONDS
        return _Cached(token, Claims.of_token(token), min(expires, self._clock() + CACHE_SECONDS), expires)
