"""API keys at the door: each is exchanged at auth for a short access token, which is used for some minutes."""

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
# After that auth is asked again, so that it notices that the key is in use. A token lives longer than this.
KEPT_SECONDS = 300.0
# A token that is about to expire could do so on its way to a service.
MARGIN_SECONDS = 10.0
MAX_KEYS = 10_000
EXCHANGE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Held:
    token: str
    claims: Claims
    fresh_until: float
    expires: float


class ApiKeys:
    """The tokens that stand for the keys of this replica's callers; keys themselves are not kept."""

    def __init__(
        self,
        auth: Upstream,
        revocations: Revocations,
        limit: RateLimit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limit` is taken from for every exchange, so that guessed keys do not flood auth."""
        self._auth = auth
        self._revocations = revocations
        self._limit = limit
        self._clock = clock
        self._held: OrderedDict[bytes, _Held] = OrderedDict()

    async def token(self, key: str, caller: HTTPConnection) -> str:
        """An access token for the key.

        Raises InvalidApiKey, PasswordChangeRequired, ServiceUnavailable or TooManyLogins.
        """
        name = hashlib.sha256(key.encode()).digest()
        held = self._held.get(name)
        now = self._clock()
        if held is not None and (held.expires <= now or self._revocations.has_ended(held.claims)):
            # Revoked, or its owner's role has changed: auth knows what the key is good for now.
            del self._held[name]
            held = None
        if held is not None and held.fresh_until > now:
            return held.token
        try:
            fresh = await self._exchange(key, caller)
        except ServiceUnavailable:
            if held is None:
                raise
            return held.token
        except (InvalidApiKey, PasswordChangeRequired):
            self._held.pop(name, None)
            raise
        self._held[name] = fresh
        self._held.move_to_end(name)
        if len(self._held) > MAX_KEYS:
            self._held.popitem(last=False)
        return fresh.token

    async def _exchange(self, key: str, caller: HTTPConnection) -> _Held:
        self._limit.take(address_group(client_address(caller)))
        answer = await self._auth.call(
            "POST", "/internal/api-keys/exchange", json={"key": key}, timeout=EXCHANGE_SECONDS
        )
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise InvalidApiKey("The API key is unknown, revoked or expired.")
        if answer.is_error and answer.json().get("code") == PasswordChangeRequired.code:
            raise PasswordChangeRequired("The owner of this API key must change the password first (PUT /me/password).")
        if answer.is_error:
            log.warning("API key not exchanged", status=answer.status_code)
            raise ServiceUnavailable(
                "The auth service cannot check API keys; try again in a moment.", upstream=self._auth.name, sent=True
            )
        body = answer.json()
        token, expires = body["access_token"], self._clock() + body["expires_in"] - MARGIN_SECONDS
        return _Held(token, Claims.of_token(token), min(expires, self._clock() + KEPT_SECONDS), expires)
