"""API keys are exchanged for tokens, which are cached while they are valid."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.requests import HTTPConnection

from common.events import AccessRevoked
from common.testing.identity import unchecked_token
from common.web.identity import PasswordChangeRequired
from gateway.edge.api_keys import CACHE_SECONDS, ApiKeys
from gateway.edge.limits import RateLimit
from gateway.edge.revocations import Revocations
from gateway.errors import InvalidApiKey, ServiceUnavailable, TooManyLogins
from gateway.relay.upstreams import Upstream

SESSION = uuid4()


def granting(lifetime: int) -> Callable[[int], Any]:
    """Answers of auth to a key: a new token of the same session each time."""

    def answer(number: int) -> Any:
        return {"access_token": unchecked_token(sid=str(SESSION), gen=1, n=number), "expires_in": lifetime}

    return answer


CALLER = HTTPConnection({"type": "http", "headers": [], "client": ("192.0.2.1", 1)})


@pytest.fixture
def auth(neighbour: Any) -> Any:
    """Auth, which exchanges every key."""
    neighbour.answer = granting(3600)
    return neighbour


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def revocations(upstream: Upstream) -> Revocations:
    return Revocations(upstream)


@pytest.fixture
def keys(auth: Any, upstream: Upstream, revocations: Revocations, now: list[float]) -> ApiKeys:
    return ApiKeys(upstream, revocations, RateLimit(5, clock=lambda: now[0]), clock=lambda: now[0])


async def end(revocations: Revocations, session: UUID) -> None:
    notice = AccessRevoked(session_ids=[session])
    await revocations.on_notice(AccessRevoked.name, notice.model_dump_json().encode())


async def test_token_is_cached_for_some_minutes(auth: Any, keys: ApiKeys, now: list[float]) -> None:
    first = await keys.token("vk_1", CALLER)
    now[0] += CACHE_SECONDS - 1
    assert await keys.token("vk_1", CALLER) == first
    assert await keys.token("vk_2", CALLER) != first
    now[0] += 2
    assert await keys.token("vk_1", CALLER) != first
    assert auth.asked == 3


async def test_expired_token_is_exchanged_again(auth: Any, keys: ApiKeys, now: list[float]) -> None:
    auth.answer = granting(60)
    first = await keys.token("vk_1", CALLER)
    now[0] += 51
    assert await keys.token("vk_1", CALLER) != first


async def test_revoked_key_is_exchanged_again_and_refused_by_auth(
    auth: Any, keys: ApiKeys, revocations: Revocations
) -> None:
    await keys.token("vk_1", CALLER)
    await end(revocations, SESSION)
    auth.status = 401
    with pytest.raises(InvalidApiKey):
        await keys.token("vk_1", CALLER)
    assert auth.asked == 2


async def test_text_that_is_not_a_key_is_an_invalid_key(auth: Any, keys: ApiKeys) -> None:
    auth.status = 422
    with pytest.raises(InvalidApiKey):
        await keys.token("vk_" + "x" * 1000, CALLER)


async def test_cached_tokens_are_used_while_auth_is_unavailable(
    auth: Any, keys: ApiKeys, now: list[float], revocations: Revocations
) -> None:
    first = await keys.token("vk_1", CALLER)
    now[0] += CACHE_SECONDS + 1
    auth.status = 0
    assert await keys.token("vk_1", CALLER) == first
    with pytest.raises(ServiceUnavailable):
        await keys.token("vk_2", CALLER)
    await end(revocations, SESSION)
    with pytest.raises(ServiceUnavailable):
        await keys.token("vk_1", CALLER)


async def test_unexpected_answer_of_auth_means_unavailable(auth: Any, keys: ApiKeys) -> None:
    auth.status = 500
    with pytest.raises(ServiceUnavailable):
        await keys.token("vk_1", CALLER)


async def test_exchanges_of_an_address_are_limited(auth: Any, keys: ApiKeys) -> None:
    auth.status = 401
    for number in range(5):
        with pytest.raises(InvalidApiKey):
            await keys.token(f"vk_{number}", CALLER)
    with pytest.raises(TooManyLogins):
        await keys.token("vk_x", CALLER)
    assert auth.asked == 5


async def test_key_is_refused_while_its_owner_must_change_the_password(auth: Any, keys: ApiKeys) -> None:
    auth.status, auth.answer = 403, lambda _: {"code": "password_change_required"}
    with pytest.raises(PasswordChangeRequired):
        await keys.token("vk_1", CALLER)


async def test_refused_gateway_secret_is_not_an_invalid_key(auth: Any, keys: ApiKeys) -> None:
    auth.status, auth.answer = 403, lambda _: {"code": "internal_only"}
    with pytest.raises(ServiceUnavailable):
        await keys.token("vk_1", CALLER)
