"""Whose access has ended before their token did: told by auth as it happens, read from it regularly."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from uuid import UUID

import jwt
import structlog
from pydantic import BaseModel, ValidationError

from common.events import AccessRevoked
from common.web import Identity, Problem, Unavailable
from common.web.identity import AccessEnded, KeysUnavailable
from gateway import metrics
from gateway.relay.upstreams import Upstream

log = structlog.get_logger(__name__)

# The safety net under the notices, which come at once but best effort.
READ_SECONDS = 15.0
RETRY_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 5.0
# Until auth has said how long its tokens live at most; no setting makes them live longer.
REMEMBER_SECONDS = 25 * 3600.0


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token by which it can be revoked."""

    user_id: UUID | None
    session_id: UUID | None
    generation: int

    @classmethod
    def of_identity(cls, identity: Identity) -> Self:
        """The claims of a verified token."""
        return cls(identity.user_id, identity.session_id, identity.generation)

    @classmethod
    def of_token(cls, token: str) -> Self:
        """The claims of a token without verification: they may only serve to refuse it."""
        try:
            said = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return cls(None, None, 1)
        generation = said.get("gen", 1)
        return cls(_uuid(said.get("sub")), _uuid(said.get("sid")), generation if isinstance(generation, int) else 0)


class _Generation(BaseModel):
    user_id: UUID
    generation: int


class _Listed(BaseModel):
    session_ids: list[UUID]
    users: list[_Generation]
    remember_seconds: float


class Revocations:
    """The sessions, API keys and generations of tokens that this replica lets in no more; kept in memory.

    An entry is forgotten when the last token that it concerns has expired by itself.
    """

    def __init__(self, auth: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        self._auth = auth
        self._clock = clock
        self._remember = REMEMBER_SECONDS
        self._sessions: dict[UUID, float] = {}
        self._generations: dict[UUID, tuple[int, float]] = {}
        self._watched: dict[asyncio.Event, Claims] = {}
        self._reading = asyncio.Lock()
        self._tried = float("-inf")
        self._known = False
        self._missed = asyncio.Event()

    def check(self, claims: Claims) -> None:
        """Raise AccessEnded if tokens with these claims were taken back."""
        if self.has_ended(claims):
            raise _ended()

    def has_ended(self, claims: Claims) -> bool:
        """Whether tokens with these claims were taken back."""
        generation, _ = self._generations.get(claims.user_id, (0, 0.0)) if claims.user_id else (0, 0.0)
        return claims.session_id in self._sessions or claims.generation < generation

    async def confirm(self, claims: Claims) -> None:
        """Ask auth whether a verified token with these claims is still good, before something is made on its word.

        Notices come at once, but best effort: a gateway that has lost the bus learns of a revocation only when it
        reads the list again. While auth does not answer, what is known here decides. Raises AccessEnded.
        """
        self.check(claims)
        asked = {
            "user_id": str(claims.user_id),
            "session_id": claims.session_id and str(claims.session_id),
            "generation": claims.generation,
        }
        try:
            answer = await self._auth.call("POST", "/internal/access", json=asked, timeout=READ_TIMEOUT_SECONDS)
        except Problem as error:
            log.warning("access not confirmed", error=str(error))
        else:
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                raise _ended()
            if answer.is_error:
                log.error("access not confirmed", status=answer.status_code, code=answer.json().get("code"))
        # A notice may have come while auth was asked.
        self.check(claims)

    async def known(self) -> None:
        """Make sure that the list was read at least once; raises Unavailable."""
        if self._known:
            return
        async with self._reading:
            if not self._known and self._clock() - self._tried >= RETRY_SECONDS:
                await self._try_to_read()
        if not self._known:
            raise KeysUnavailable("Whose access has ended cannot be had. Try again shortly.")

    @contextmanager
    def watch(self, claims: Claims) -> Iterator[asyncio.Event]:
        """An event that is set as soon as tokens with these claims are taken back."""
        ended = asyncio.Event()
        self._watched[ended] = claims
        try:
            yield ended
        finally:
            del self._watched[ended]

    async def on_notice(self, key: str, body: bytes) -> None:
        """Take in what auth tells everybody; other notices are not meant for us."""
        if key != AccessRevoked.name:
            return
        try:
            notice = AccessRevoked.model_validate_json(body)
        except ValidationError as error:
            log.warning("control notice not readable", notice=key, error=str(error))
            self.missed()
            return
        users = []
        if notice.user_id is not None and notice.generation is not None:
            users.append((notice.user_id, notice.generation))
        self._take_in(notice.session_ids, users)

    def missed(self) -> None:
        """Notices may have been lost: the list is read again at once."""
        self._missed.set()

    async def run(self) -> None:
        """Read the list now and then, and when something was missed, until cancelled; made for `Background`."""
        while True:
            self._missed.clear()
            async with self._reading:
                read = await self._try_to_read()
            try:
                async with asyncio.timeout(READ_SECONDS if read else RETRY_SECONDS):
                    await self._missed.wait()
            except TimeoutError:
                self.forget()

    async def _try_to_read(self) -> bool:
        self._tried = self._clock()
        try:
            answer = await self._auth.call("GET", "/internal/revocations", timeout=READ_TIMEOUT_SECONDS)
            if answer.is_error:
                raise Unavailable(f"auth answers with status {answer.status_code}")
            listed = _Listed.model_validate_json(answer.content)
        except (Problem, ValidationError) as error:
            log.warning("revocations not read", error=str(error))
            return False
        self._remember = listed.remember_seconds
        self._take_in(listed.session_ids, [(user.user_id, user.generation) for user in listed.users])
        self._known = True
        return True

    def _take_in(self, sessions: Iterable[UUID], users: Iterable[tuple[UUID, int]]) -> None:
        # Only ever added to, so an answer that was on its way while a notice came takes nothing back.
        until = self._clock() + self._remember
        for session_id in sessions:
            self._sessions[session_id] = until
        for user_id, generation in users:
            highest, _ = self._generations.get(user_id, (0, 0.0))
            self._generations[user_id] = (max(highest, generation), until)
        metrics.REVOCATIONS.set(len(self._sessions) + len(self._generations))
        for ended, claims in self._watched.items():
            if self.has_ended(claims):
                ended.set()

    def forget(self) -> None:
        """Drop what concerns only tokens that have expired by themselves."""
        now = self._clock()
        self._sessions = {key: until for key, until in self._sessions.items() if until > now}
        self._generations = {key: value for key, value in self._generations.items() if value[1] > now}


def _ended() -> AccessEnded:
    return AccessEnded("The session has ended. Sign in again.")


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        return None
