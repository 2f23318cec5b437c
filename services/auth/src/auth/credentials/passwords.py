"""argon2id in threads, in equal time for known and unknown users."""

import asyncio
import secrets
from dataclasses import dataclass

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from auth.errors import LoginBusy

TIME_COST = 2
MEMORY_KIB = 46 * 1024
PARALLELISM = 1
#: Longest wait for a free hashing slot.
WAIT_SECONDS = 15.0
GENERATED_BYTES = 18


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password is correct; a new hash if the stored one has outdated parameters."""

    ok: bool
    fresh_hash: str | None = None


class Passwords:
    """Hashes and checks passwords, at most `concurrency` at once.

    Each hash takes 46 MiB and tens of milliseconds of one core, so an unbounded number of logins would exhaust the
    machine.
    """

    def __init__(self, concurrency: int) -> None:
        self._hasher = PasswordHasher(
            time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM, type=Type.ID
        )
        self._slots = asyncio.Semaphore(concurrency)
        # Checked for unknown users, so that their refusal takes as long as that of known users.
        self._decoy = self._hasher.hash(secrets.token_urlsafe(GENERATED_BYTES))

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password, in PHC string format."""
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, _encoded(password))

    async def verify(self, stored: str | None, password: str) -> Verdict:
        """Check a password; with `stored` None (unknown user) the check takes the same time and fails.

        Raises LoginBusy if no hashing slot becomes free in time.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError as error:
            raise LoginBusy("Too many logins at the same time. Try again in a moment.") from error
        try:
            return await asyncio.to_thread(self._check, stored, password)
        finally:
            self._slots.release()

    def _check(self, stored: str | None, password: str) -> Verdict:
        try:
            self._hasher.verify(stored or self._decoy, _encoded(password))
        except (VerificationError, InvalidHashError):
            return Verdict(ok=False)
        if stored is None:
            return Verdict(ok=False)
        return Verdict(
            ok=True,
            fresh_hash=self._hasher.hash(_encoded(password)) if self._hasher.check_needs_rehash(stored) else None,
        )


def _encoded(password: str) -> bytes:
    """UTF-8; JSON may hold half a surrogate pair, which is encoded as well."""
    return password.encode(errors="surrogatepass")


def generate() -> str:
    """A password of 144 random bits in URL-safe characters."""
    return secrets.token_urlsafe(GENERATED_BYTES)
