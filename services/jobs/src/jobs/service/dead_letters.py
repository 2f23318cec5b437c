"""Dead letters for people: look at them, send them again, discard them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import BY_ROUTING_KEY, COMMANDS, AssembleWork, ChunkWork, Command, PlanWork
from common.messaging import outbox, straight_to
from common.web import Identity
from jobs.repository import JobRepository, LedgerRepository
from jobs.resources import Resources
from jobs.schemas import Restart
from jobs.service import JobControl
from jobs.states import State
from jobs.tables import DeadLetter, Job, Outbox

from .errors import DeadLetterNotFound, ReplayImpossible
from .tables import Replay

log = structlog.get_logger(__name__)

Work = PlanWork | ChunkWork | AssembleWork

_SUMMARY: dict[str, Any] = {
    "id": 17,
    "received_at": "2026-01-31T12:00:00Z",
    "queue": "work.chunk.base",
    "reason": "delivery_limit",
    "deliveries": 3,
    "routing_key": "work.chunk.base",
    "message_type": "work.chunk",
    "job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
    "replayed_at": None,
    "replayed_by": None,
}


class DeadLetterSummary(BaseModel):
    """A message that the broker gave up on."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SUMMARY]})

    id: int
    received_at: datetime
    queue: str = Field(description="Where it died.")
    reason: str = Field(description="rejected: it could not be read. delivery_limit: its handler failed each time.")
    deliveries: int
    routing_key: str
    message_type: str | None = Field(description="Null: nobody knows what it is.")
    job_id: UUID | None
    replayed_at: datetime | None = Field(description="When it was sent again; null = never.")
    replayed_by: UUID | None


class DeadLetterView(DeadLetterSummary):
    """The same with everything that came with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _SUMMARY
                | {
                    "headers": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
                    "payload": {"job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10", "attempt": 1, "chunk": 3},
                }
            ]
        }
    )

    headers: dict[str, Any]
    payload: Any = Field(description="The message as JSON; as text where it is none.")


class DeadLetterPage(BaseModel):
    """Some dead letters, newest first."""

    items: list[DeadLetterSummary]
    next_cursor: int | None = Field(description="Pass it back to get what follows; null = this is the end.")


class DeadLetterOffice:
    """Works on letters for an administrator; whatever is done is logged with who did it."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        """Work inside the caller's transaction."""
        self._session = session
        self._resources = resources

    async def page(self, *, limit: int, cursor: int | None, job_id: UUID | None) -> DeadLetterPage:
        """Return letters older than the one the cursor names."""
        query = select(DeadLetter, Replay).outerjoin(Replay).order_by(DeadLetter.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(DeadLetter.id < cursor)
        if job_id is not None:
            query = query.where(DeadLetter.job_id == job_id)
        rows = (await self._session.execute(query)).all()
        shown = rows[:limit]
        return DeadLetterPage(
            items=[DeadLetterSummary(**_described(letter, replay)) for letter, replay in shown],
            next_cursor=shown[-1][0].id if len(rows) > limit else None,
        )

    async def read(self, letter_id: int) -> DeadLetterView:
        """Return a letter with its payload; raises DeadLetterNotFound."""
        letter = await self._letter(letter_id)
        return _view(letter, await self._session.get(Replay, letter_id))

    async def discard(self, letter_id: int, by: UUID) -> None:
        """Throw a letter away; raises DeadLetterNotFound."""
        letter = await self._letter(letter_id)
        with context.bound(job_id=letter.job_id):
            await self._session.execute(delete(DeadLetter).where(DeadLetter.id == letter_id))
            log.warning("dead letter discarded", letter=letter_id, queue=letter.queue, by=str(by))

    async def replay(self, letter_id: int, admin: Identity) -> DeadLetterView:
        """Send what the letter carried once more, under a new id; a second call changes nothing.

        Work of a job that it failed begins a new attempt, which reuses the chunks that were finished. Raises
        DeadLetterNotFound, ReplayImpossible, ModelNotAvailable.
        """
        letter = await self._letter(letter_id)
        replay = await self._session.get(Replay, letter_id)
        if replay is None:
            with context.bound(job_id=letter.job_id):
                message_id = await self._send(letter, admin)
                replay = Replay(letter_id=letter_id, replayed_by=admin.user_id, message_id=message_id)
                self._session.add(replay)
                await self._session.flush()
                await self._session.refresh(replay)
                log.warning("dead letter replayed", letter=letter_id, queue=letter.queue, by=str(admin.user_id))
        return _view(letter, replay)

    async def _letter(self, letter_id: int) -> DeadLetter:
        """Return a letter and keep everybody else from replaying it meanwhile."""
        letter = await self._session.scalar(select(DeadLetter).where(DeadLetter.id == letter_id).with_for_update())
        if letter is None:
            raise DeadLetterNotFound(f"there is no dead letter {letter_id}")
        return letter

    async def _send(self, letter: DeadLetter, admin: Identity) -> UUID | None:
        """Send the message again; return its new id, None when the job's new attempt takes its place."""
        if not letter.queue.startswith("work."):
            return self._send_to_queue(letter)
        work = _work(letter)
        job = await JobRepository(self._session).lock(work.job_id)
        if job is None:
            raise ReplayImpossible("the job of this work is gone")
        waited_for = job.attempt == work.attempt and not await self._done(job, work)
        if waited_for and job.state == State.FAILED:
            await JobControl(self._session, self._resources).restart(admin, job.id, Restart())
            return None
        if not waited_for or job.state != State.PROCESSING:
            raise ReplayImpossible(f"the job is {job.state} in attempt {job.attempt}: nobody waits for this work")
        again = work.model_copy(update={"event_id": uuid4()})
        outbox.add(self._session, again)
        return again.event_id

    async def _done(self, job: Job, work: Work) -> bool:
        if isinstance(work, PlanWork):
            return job.plan_complete
        if isinstance(work, AssembleWork):
            return False
        line = await LedgerRepository(self._session).get(work.job_id, work.attempt, work.chunk)
        return line is None or line.state == "done"

    def _send_to_queue(self, letter: DeadLetter) -> UUID:
        """Put an event straight into the queue where it died: its other subscribers took it already."""
        body = _parsed(letter.body)
        if not isinstance(body, dict) or letter.routing_key not in BY_ROUTING_KEY:
            raise ReplayImpossible("this is no message that any service could read")
        message_id = uuid4()
        exchange, routing_key = straight_to(letter.queue)
        self._session.add(
            Outbox(
                message_id=message_id,
                exchange=exchange,
                routing_key=routing_key,
                message_type=letter.routing_key,
                correlation_id=str(body.get("correlation_id") or context.correlation_id()),
                traceparent=context.traceparent(),
                body=json.dumps(body | {"event_id": str(message_id)}),
            )
        )
        return message_id


def _work(letter: DeadLetter) -> Work:
    command = _command(letter.queue)
    try:
        if command is None:
            raise ReplayImpossible(f"nobody takes work from {letter.queue}")
        work = command.model_validate_json(letter.body)
    except ValidationError as error:
        raise ReplayImpossible("this is no work that any worker could read") from error
    if not isinstance(work, Work):
        raise ReplayImpossible("a verification that failed is not taken up again: begin another one")
    return work


def _command(queue: str) -> type[Command] | None:
    """The kind of work in a queue; chunk work has a queue per model."""
    return next((kind for kind in COMMANDS if queue == kind.name or queue.startswith(f"{kind.name}.")), None)


def _described(letter: DeadLetter, replay: Replay | None) -> dict[str, Any]:
    names: Sequence[str] = ("id", "received_at", "queue", "reason", "deliveries", "routing_key", "job_id")
    command = _command(letter.queue)
    kind = command.name if command else letter.routing_key if letter.routing_key in BY_ROUTING_KEY else None
    return {name: getattr(letter, name) for name in names} | {
        "message_type": kind,
        "replayed_at": None if replay is None else replay.replayed_at,
        "replayed_by": None if replay is None else replay.replayed_by,
    }


def _view(letter: DeadLetter, replay: Replay | None) -> DeadLetterView:
    payload = _parsed(letter.body)
    return DeadLetterView(
        **_described(letter, replay),
        headers=letter.headers,
        payload=letter.body.decode(errors="replace") if payload is None else payload,
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


async def waiting(session: AsyncSession) -> int:
    """Tell how many letters nobody has replayed yet."""
    query = select(func.count()).select_from(DeadLetter).outerjoin(Replay).where(Replay.letter_id.is_(None))
    return await session.scalar(query) or 0
