"""Dead letters: their consequences for jobs, and reading, replaying and discarding them."""

import json
from typing import Any
from uuid import UUID, uuid4

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import BY_ROUTING_KEY, COMMANDS, AssembleWork, ChunkWork, Command, PlanWork, VerifyWork
from common.messaging import RawMessage, direct_to, outbox
from common.web.identity import Identity
from jobs.errors import DeadLetterNotFound, ReplayImpossible
from jobs.repository import DeadLetterRepository, JobRepository, LedgerRepository
from jobs.schemas.dead_letters import DeadLetterPage, DeadLetterSummary, DeadLetterView
from jobs.schemas.jobs import Restart
from jobs.schemas.progress import clock
from jobs.states import REASONS, Reason, State
from jobs.tables import DeadLetter, Job, Outbox, Replay

from .control import JobControl
from .lifecycle import JobLifecycle
from .resources import Resources
from .verification import Verifications

log = structlog.get_logger(__name__)

Work = PlanWork | ChunkWork | AssembleWork

_SUMMARY = ("id", "received_at", "queue", "reason", "deliveries", "routing_key", "job_id")


class DeadLetterCatalogue:
    """Acts on dead letters; every action of an administrator is logged with the user id."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        self._session = session
        self._resources = resources
        self._letters = DeadLetterRepository(session)

    async def page(self, *, limit: int, cursor: int | None, job_id: UUID | None) -> DeadLetterPage:
        """Return the dead letters before the cursor, newest first."""
        rows = await self._letters.page(limit=limit + 1, before=cursor, job_id=job_id)
        shown = rows[:limit]
        return DeadLetterPage(
            items=[DeadLetterSummary(**_summary(letter, replay)) for letter, replay in shown],
            next_cursor=shown[-1][0].id if len(rows) > limit else None,
        )

    async def read(self, letter_id: int) -> DeadLetterView:
        """Return a dead letter with its payload; raises DeadLetterNotFound."""
        return _view(await self._locked(letter_id), await self._letters.replay_of(letter_id))

    async def discard(self, letter_id: int, by: UUID) -> None:
        """Delete a dead letter; raises DeadLetterNotFound."""
        letter = await self._locked(letter_id)
        with context.bound(job_id=letter.job_id):
            await self._letters.delete(letter_id)
            log.warning("dead letter discarded", letter=letter_id, queue=letter.queue, by=str(by))

    async def replay(self, letter_id: int, admin: Identity) -> DeadLetterView:
        """Send the message of a dead letter again, under a new id; a second call changes nothing.

        If the work failed its job, the job is restarted instead, which reuses the finished chunks. Raises
        DeadLetterNotFound, ReplayImpossible, ModelNotAvailable.
        """
        letter = await self._locked(letter_id)
        replay = await self._letters.replay_of(letter_id)
        if replay is None:
            with context.bound(job_id=letter.job_id):
                message_id = await self._send(letter, admin)
                replay = await self._letters.add_replay(letter_id, replayed_by=admin.user_id, message_id=message_id)
                log.warning("dead letter replayed", letter=letter_id, queue=letter.queue, by=str(admin.user_id))
        return _view(letter, replay)

    async def apply(self, work: Work | VerifyWork, message: RawMessage) -> None:
        """Fail the job of dead-lettered work, unless its attempt has ended or a copy of the work was done."""
        if isinstance(work, VerifyWork):
            return await Verifications(self._session, self._resources).chunk_failed(work)
        job = await JobRepository(self._session).lock_attempt(work.job_id, work.attempt)
        if job is None or job.state != State.PROCESSING or await self._is_done(job, work):
            return None
        sentence = REASONS[Reason.WORK_DEAD_LETTERED].format(
            work=await self._named(work), count=message.count, why=message.reason or "unknown"
        )
        return await JobLifecycle(self._session, self._resources).fail(job, Reason.WORK_DEAD_LETTERED, sentence)

    async def _locked(self, letter_id: int) -> DeadLetter:
        letter = await self._letters.lock(letter_id)
        if letter is None:
            raise DeadLetterNotFound(f"There is no dead letter {letter_id}.")
        return letter

    async def _send(self, letter: DeadLetter, admin: Identity) -> UUID | None:
        """Send the message again; return its new id, None if the job was restarted instead."""
        if not letter.queue.startswith("work."):
            return self._send_to_queue(letter)
        work = work_in(letter.queue, letter.body)
        if work is None:
            raise ReplayImpossible(f"The message in {letter.queue} is not readable as work.")
        if isinstance(work, VerifyWork):
            raise ReplayImpossible("A failed verification cannot be replayed. Start a new one.")
        job = await JobRepository(self._session).lock(work.job_id)
        if job is None:
            raise ReplayImpossible("The job of this work has been deleted.")
        waits = job.attempt == work.attempt and not await self._is_done(job, work)
        if waits and job.state == State.FAILED:
            await JobControl(self._session, self._resources).restart(admin, job.id, Restart())
            return None
        if not waits or job.state != State.PROCESSING:
            raise ReplayImpossible(f"The job is {job.state} in attempt {job.attempt}, and does not wait for this work.")
        again = work.model_copy(update={"event_id": uuid4()})
        outbox.add(self._session, again)
        return again.event_id

    async def _is_done(self, job: Job, work: Work) -> bool:
        if isinstance(work, PlanWork):
            return job.plan_complete
        if isinstance(work, AssembleWork):
            return False
        row = await LedgerRepository(self._session).get(work.job_id, work.attempt, work.chunk)
        return row is None or row.state == "done"

    async def _named(self, work: Work) -> str:
        """Return the work as the subject of a sentence."""
        if isinstance(work, PlanWork):
            return "Cutting the recording into chunks"
        if isinstance(work, AssembleWork):
            return "Assembling the transcript"
        row = await LedgerRepository(self._session).get(work.job_id, work.attempt, work.chunk)
        if row is None or row.start_seconds is None or row.end_seconds is None:
            return f"Chunk {work.chunk}"
        return f"Chunk {work.chunk} ({clock(row.start_seconds)} to {clock(row.end_seconds)})"

    def _send_to_queue(self, letter: DeadLetter) -> UUID:
        """Put an event directly into its queue: the other subscribers have received it already."""
        body = _parsed(letter.body)
        if not isinstance(body, dict) or letter.routing_key not in BY_ROUTING_KEY:
            raise ReplayImpossible("The message is not readable as an event.")
        message_id = uuid4()
        exchange, routing_key = direct_to(letter.queue)
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


def work_in(queue: str, body: bytes) -> Work | VerifyWork | None:
    """Return the work in a message of a queue; None if it is another message, or not readable."""
    command = _command(queue)
    try:
        work = None if command is None else command.model_validate_json(body)
    except ValidationError:
        return None
    return work if isinstance(work, Work | VerifyWork) else None


def _command(queue: str) -> type[Command] | None:
    """Return the type of work in a queue; work on chunks has a queue per model."""
    return next((kind for kind in COMMANDS if queue == kind.name or queue.startswith(f"{kind.name}.")), None)


def _summary(letter: DeadLetter, replay: Replay | None) -> dict[str, Any]:
    command = _command(letter.queue)
    kind = command.name if command else letter.routing_key if letter.routing_key in BY_ROUTING_KEY else None
    return {name: getattr(letter, name) for name in _SUMMARY} | {
        "message_type": kind,
        "replayed_at": None if replay is None else replay.replayed_at,
        "replayed_by": None if replay is None else replay.replayed_by,
    }


def _view(letter: DeadLetter, replay: Replay | None) -> DeadLetterView:
    payload = _parsed(letter.body)
    return DeadLetterView(
        **_summary(letter, replay),
        headers=letter.headers,
        payload=letter.body.decode(errors="replace") if payload is None else payload,
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
