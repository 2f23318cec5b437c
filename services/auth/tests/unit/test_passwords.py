"""Passwords are hashed in threads, a limited number at once."""

import asyncio
import threading
import time
from statistics import median

import pytest

from auth.credentials import passwords
from auth.credentials.passwords import Passwords
from auth.errors import LoginBusy


@pytest.fixture(scope="module")
def hasher() -> Passwords:
    return Passwords(2)


async def test_hash_meets_the_minimum_of_owasp(hasher: Passwords) -> None:
    assert (await hasher.hash("a password")).startswith("$argon2id$v=19$m=47104,t=2,p=1$")


async def test_correct_password_passes_and_wrong_one_fails(hasher: Passwords) -> None:
    stored = await hasher.hash("pässwörd")
    assert await hasher.verify(stored, "pässwörd") == passwords.Verdict(ok=True)
    assert not (await hasher.verify(stored, "passwörd")).ok
    assert not (await hasher.verify("not a hash", "pässwörd")).ok


async def test_unknown_user_costs_as_much_as_a_wrong_password(hasher: Passwords) -> None:
    stored = await hasher.hash("a password")
    known: list[float] = []
    unknown: list[float] = []
    for _ in range(5):
        for candidate, times in ((stored, known), (None, unknown)):
            started = time.process_time()
            assert not (await hasher.verify(candidate, "a guess")).ok
            times.append(time.process_time() - started)
    assert median(unknown) > 0.5 * median(known)


async def test_event_loop_is_not_blocked_by_hashing(hasher: Passwords) -> None:
    hashing = asyncio.gather(*(hasher.hash(f"password {number}") for number in range(4)))
    ticks = 0
    while not hashing.done():
        ticks += 1
        await asyncio.sleep(0.001)
    assert ticks > 10


async def test_no_more_hashes_run_at_once_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Passwords(2)
    running, most, lock = 0, 0, threading.Lock()
    check = hasher._check

    def counted(stored: str | None, password: str) -> passwords.Verdict:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return check(stored, password)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(hasher, "_check", counted)
    await asyncio.gather(*(hasher.verify(None, "a guess") for _ in range(6)))
    assert most == 2


async def test_login_is_refused_when_no_slot_becomes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Passwords(1)
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
    first = asyncio.create_task(hasher.verify(None, "a guess"))
    await asyncio.sleep(0)
    with pytest.raises(LoginBusy):
        await hasher.verify(None, "a guess")
    assert not (await first).ok
    assert not (await hasher.verify(None, "a guess")).ok


def test_generated_passwords_are_long_and_differ() -> None:
    assert len({passwords.generate() for _ in range(10)}) == 10
    assert len(passwords.generate()) == 24
