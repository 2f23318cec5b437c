"""Verification of transcripts: workers decode random chunks again, and the hashes are compared."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import ChunkVerified, JobOptions, VerifyWork
from common.messaging import outbox
from common.web.identity import Identity
from jobs.errors import JobNotCompleted, VerificationNotFound, VerificationRunning
from jobs.repository import HistoryRepository, LedgerRepository, VerificationRepository
from jobs.schemas.verifications import Outcome, Verify
from jobs.states import State
from jobs.tables import Job, Verification

from .catalogue import JobCatalogue
from .creation import require_model
from .owners import require_present
from .quotas import Quotas
from .resources import Resources

log = structlog.get_logger(__name__)

# A longer verification is aborted: the broker lost its work, or no worker serves the model any more.
_TIMEOUT: Final = timedelta(hours=6)


class Verifications:
    """Starts verifications on request, and applies the answers of the workers."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        self._session = session
        self._resources = resources
        self._catalogue = JobCatalogue(session, resources)
        self._ledger = LedgerRepository(session)
        self._verifications = VerificationRepository(session)
        self._quotas = Quotas(session, resources)

    async def start(self, who: Identity, job_id: UUID, wanted: Verify) -> Verification:
        """Send random chunks of a completed job to the workers again.

        Their audio counts against the caller's hours of the day.
        Raises JobNotFound, JobNotCompleted, VerificationRunning, ModelNotAvailable, QuotaExceeded, AccountGone.
        """
        await require_present(self._session, who.user_id)
        job = await self._catalogue.locked(who, job_id)
        if job.state != State.COMPLETED or job.transcript_attempt is None:
            raise JobNotCompleted(f"The job is {job.state}. Only completed jobs can be verified.", state=job.state)
        if (running := await self._verifications.running(job_id)) is not None:
            raise VerificationRunning(
                f"Verification {running.id} is running. Wait until it ends.", verification=str(running.id)
            )
        attempt = job.transcript_attempt
        options = await self._options(job, attempt)
        await require_model(self._session, self._resources, options.model)
        chunks = {row.chunk: row for row in await self._ledger.rows(job_id, attempt) if row.result_sha256}
        seed = random.SystemRandom().randrange(2**63) if wanted.seed is None else wanted.seed
        drawn = random.Random(seed).sample(sorted(chunks), min(wanted.chunks, len(chunks)))  # noqa: S311 (reproducible)
        await self._quotas.spend(who, sum(chunks[chunk].seconds for chunk in drawn))
        checks = [_waiting(chunk, str(chunks[chunk].result_sha256)) for chunk in drawn]
        row = await self._verifications.add(id=uuid4(), job_id=job_id, attempt=attempt, seed=seed, checks=checks)
        if not checks:
            await self._verifications.write(row, checks, over=True)
        with context.bound(job_id=job_id):
            for chunk in drawn:
                work = VerifyWork(
                    verification=row.id,
                    job_id=job_id,
                    attempt=attempt,
                    chunk=chunk,
                    result_key=str(chunks[chunk].result_key),
                    language=str(chunks[chunk].language),
                    options=options,
                )
                outbox.add(self._session, work)
            log.info("verification started", verification=str(row.id), chunks=drawn, seed=seed)
        return row

    async def all(self, who: Identity, job_id: UUID) -> Sequence[Verification]:
        """Return a job's verifications, the newest first; raises JobNotFound."""
        await self._catalogue.get(who, job_id)
        return await self._verifications.of_job(job_id)

    async def one(self, who: Identity, job_id: UUID, verification_id: UUID) -> Verification:
        """Return a verification; raises JobNotFound, VerificationNotFound."""
        await self._catalogue.get(who, job_id)
        row = await self._verifications.get(job_id, verification_id)
        if row is None:
            raise VerificationNotFound(f"The job has no verification {verification_id}.")
        return row

    async def chunk_verified(self, event: ChunkVerified) -> None:
        """Store the hashes of a chunk that was decoded again."""
        found = {
            "stored_sha256": event.stored_sha256,
            "decoded_sha256": event.decoded_sha256,
            "worker": event.worker,
            "engine": event.engine,
        }
        await self._settle(event.verification, event.chunk, found)

    async def chunk_failed(self, work: VerifyWork) -> None:
        """Store that the workers failed to decode a chunk again."""
        await self._settle(work.verification, work.chunk, None)

    async def abort_overdue(self) -> None:
        """End verifications that run too long."""
        for row in await self._verifications.overdue(_TIMEOUT):
            checks = [check | _unchecked(check) for check in row.checks]
            await self._verifications.write(row, checks, over=True)
            log.warning("verification aborted", verification=str(row.id), job_id=str(row.job_id))

    async def _settle(self, verification: UUID, chunk: int, found: dict[str, Any] | None) -> None:
        row = await self._verifications.lock(verification)
        if row is None or row.finished_at is not None:
            return
        checks = [_settled(check, found) if check["chunk"] == chunk else check for check in row.checks]
        over = all(check["outcome"] != "waiting" for check in checks)
        await self._verifications.write(row, checks, over=over)
        if over:
            log.info(
                "verification ended",
                verification=str(row.id),
                outcomes={check["chunk"]: check["outcome"] for check in checks},
            )

    async def _options(self, job: Job, attempt: int) -> JobOptions:
        past = {row.attempt: row for row in await HistoryRepository(self._session).attempts(job.id)}
        return JobOptions.model_validate(past[attempt].options if attempt in past else job.options)


def _settled(check: dict[str, Any], found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return check | _unchecked(check)
    outcome = outcome_of(check["recorded_sha256"], found["stored_sha256"], found["decoded_sha256"])
    return check | found | {"outcome": outcome}


def _unchecked(check: dict[str, Any]) -> dict[str, Any]:
    outcome: Outcome = "not_checked" if check["outcome"] == "waiting" else check["outcome"]
    return {"outcome": outcome}


def _waiting(chunk: int, recorded_sha256: str) -> dict[str, Any]:
    """Return a check that has not been decoded yet."""
    return {
        "chunk": chunk,
        "outcome": "waiting",
        "recorded_sha256": recorded_sha256,
        "stored_sha256": None,
        "decoded_sha256": None,
        "worker": None,
        "engine": None,
    }


def outcome_of(recorded: str, stored: str | None, decoded: str | None) -> Outcome:
    """Return the outcome of a comparison of three hashes of one chunk's result."""
    if stored is None or decoded is None:
        return "gone"
    if stored != recorded:
        return "altered"
    return "matches" if decoded == recorded else "differs"
