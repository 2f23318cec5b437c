"""Revoked access: auth publishes a notice at each revocation, and its list is read regularly."""

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

# Notices arrive at once but best effort; reading the list finds those that were lost.
READ_SECONDS = 15.0
RETRY_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 5.0
# Used until auth has sent the longest lifetime of its tokens; no setting allows a longer one.
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


class _List(BaseModel):
    session_ids: list[UUID]
    users: list[_Generation]
    remember_seconds: float


class Revocations:
    """The revoked sessions, API keys and token generations, in memory.

    An entry is deleted when the last token that it concerns has expired.
    """

    def __init__(self, auth: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        self._auth = auth
        self._clock = clock
        self._remember = REMEMBER_SECONDS
        self._sessions: dict[UUID, float] = {}
        self._generations: dict[UUID, tuple[int, float]] = {}
        self._watched: dict[asyncio.Event, Claims] = {}
        self._lock = asyncio.Lock()
        self._attempted = float("-inf")
        self._loaded = False
        self._missed = asyncio.Event()

    def check(self, claims: Claims) -> None:
        """Raise AccessEnded if tokens with these claims are revoked."""
        if self.has_ended(claims):
            raise _ended()

    def has_ended(self, claims: Claims) -> bool:
        """Whether tokens with these claims are revoked."""
        generation, _ = self._generations.get(claims.user_id, (0, 0.0)) if claims.user_id else (0, 0.0)
        return claims.session_id in self._sessions or claims.generation < generation

    async def confirm(self, claims: Claims) -> None:
        """Ask auth whether a verified token with these claims is still valid; raises AccessEnded.

        A gateway without the broker learns of a revocation only when it reads the list again. While auth is
        unavailable, the list in memory decides.
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
            log.warning("access confirmation failed", error=str(error))
        else:
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                raise _ended()
            if answer.is_error:
                log.error("access confirmation failed", status=answer.status_code, code=answer.json().get("code"))
        # A notice may have arrived during the request.
        self.check(claims)

    async def known(self) -> None:
        """Read the list if it was never read; raises Unavailable."""
        if self._loaded:
            return
        async with self._lock:
            if not self._loaded and self._clock() - self._attempted >= RETRY_SECONDS:
                await self._read()
        if not self._loaded:
            raise KeysUnavailable("The list of revoked sessions is unavailable. Try again shortly.")

    @contextmanager
    def watch(self, claims: Claims) -> Iterator[asyncio.Event]:
        """An event that is set as soon as tokens with these claims are revoked."""
        ended = asyncio.Event()
        self._watched[ended] = claims
        try:
            yield ended
        finally:
            del self._watched[ended]

    async def on_notice(self, key: str, body: bytes) -> None:
        """Add the entries of a revocation notice; other notices are ignored."""
        if key != AccessRevoked.name:
            return
        try:
            notice = AccessRevoked.model_validate_json(body)
        except ValidationError as error:
            log.warning("revocation notice unreadable", notice=key, error=str(error))
            self.missed()
            return
        users = []
        if notice.user_id is not None and notice.generation is not None:
            users.append((notice.user_id, notice.generation))
        self._add(notice.session_ids, users)

    def missed(self) -> None:
        """Read the list again at once, because notices may have been lost."""
        self._missed.set()

    async def run(self) -> None:
        """Read the list regularly, and when notices may have been lost, until cancelled."""
        while True:
            self._missed.clear()
            async with self._lock:
                read = await self._read()
            try:
                async with asyncio.timeout(READ_SECONDS if read else RETRY_SECONDS):
                    await self._missed.wait()
            except TimeoutError:
                self.forget()

    async def _read(self) -> bool:
        self._attempted = self._clock()
        try:
            answer = await self._auth.call("GET", "/internal/revocations", timeout=READ_TIMEOUT_SECONDS)
            if answer.is_error:
                raise Unavailable(f"auth answers with status {answer.status_code}")
            listed = _List.model_validate_json(answer.content)
        except (Problem, ValidationError) as error:
            log.warning("revocation list not read", error=str(error))
            return False
        self._remember = listed.remember_seconds
        self._add(listed.session_ids, [(user.user_id, user.generation) for user in listed.users])
        self._loaded = True
        return True

    def _add(self, sessions: Iterable[UUID], users: Iterable[tuple[UUID, int]]) -> None:
        # Entries are only added, so that a list sent before a notice does not undo it.
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
        """Delete the entries that concern only expired tokens."""
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
