"""The helpers of the tests: waits that report what they saw, and tokens that a verifier accepts."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from common.settings import IdentitySettings
from common.testing import Issuer, eventually, eventually_blocking
from common.web import TokenVerifier


def counter(*results: Any) -> Callable[[], Any]:
    """Return these results one after the other; exceptions are raised."""
    left = iter(results)

    def look() -> Any:
        result = next(left)
        if isinstance(result, Exception):
            raise result
        return result

    return look


async def test_a_wait_returns_the_first_result_for_which_the_condition_holds() -> None:
    look = counter(None, 1, ConnectionError(), 2, 3)
    assert await eventually(look, lambda number: number > 1, ignoring=ConnectionError) == 2
    assert eventually_blocking(partial(counter(None, 0, 7))) == 7


async def test_a_wait_awaits_what_it_looks_at() -> None:
    look = counter(False, "there")

    async def later() -> Any:
        return look()

    assert await eventually(later) == "there"


async def test_a_wait_that_fails_says_what_it_waited_for_and_what_it_saw_last() -> None:
    empty: dict[str, int] = {}
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the job ends; last seen: 'running'"):
        await eventually(lambda: "running", lambda state: state == "done", "the job ends", seconds=0.05)
    with pytest.raises(AssertionError, match=r"last seen: KeyError\('x'\)"):
        eventually_blocking(lambda: empty["x"], ignoring=KeyError, seconds=0.05)
    with pytest.raises(KeyError):
        eventually_blocking(lambda: empty["x"])


async def test_tokens_of_the_issuer_are_verified_with_the_keys_that_it_serves(jwks_url: str, issuer: Issuer) -> None:
    user, served = uuid4(), TokenVerifier(IdentitySettings(jwks_url=jwks_url))
    for verifier in (served, issuer.verifier()):
        identity = await verifier.verify(issuer.token(user, role="admin"))
        assert (identity.user_id, identity.role) == (user, "admin")
    await served.close()
