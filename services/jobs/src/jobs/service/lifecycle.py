"""The state machine of a job after its creation, driven by the events of transcribers and metadata."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import (
    AttemptEvent,
    AudioPlanned,
    AudioRejected,
    ChunkPlanned,
    ChunkTranscribed,
    JobCompleted,
    JobFailed,
    JobTranscribed,
    MetadataEnriched,
    MetadataFailed,
    TranscriptReady,
    keys,
)
from common.messaging import outbox
from jobs import metrics, states
from jobs.repository import JobRepository, LedgerRepository, LedgerRow, SearchRepository
from jobs.repository.jsonb import sanitized
from jobs.states import REASONS, Reason, State
from jobs.tables import Job

from .history import History
from .quotas import Quotas
from .resources import Resources
from .work import WorkSender

log = structlog.get_logger(__name__)


class JobLifecycle:
    """Applies events of transcribers and metadata, in any order and any number of times.

    An event that does not fit the current attempt and state of its job is stale: counted, and otherwise ignored.
    """

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        self._session = session
        self._cancellations = resources.cancellations
        self._jobs = JobRepository(session)
        self._ledger = LedgerRepository(session)
        self._work = WorkSender(session)
        self._search = SearchRepository(session)
        self._history = History(session)
        self._quotas = Quotas(session, resources)

    async def chunk_planned(self, event: ChunkPlanned) -> None:
        """Add a chunk to the ledger: it may be dispatched, unless its result is there or can be reused."""
        job = await self._processing(event)
        if job is None:
            return
        row = await self._ledger.plan(event)
        if row is None:
            return
        reused = None if job.attempt == 1 else await self._ledger.reuse(event)
        await self._count(job, row, done=0 if reused is None else 1)
        log.info(
            "chunk planned" if reused is None else "chunk result reused",
            chunk=event.chunk,
            start_seconds=event.start_seconds,
            end_seconds=event.end_seconds,
            windows=event.windows,
            language=event.language,
        )
        if reused is not None:
            metrics.CHUNKS_REUSED.inc()
            self._history.segments(job, event.chunk)
            await self._assemble_if_all_done(job)
        self._jobs.wake_dispatch()

    async def audio_planned(self, event: AudioPlanned) -> None:
        """Store the end of the plan, and so the number of chunks."""
        job = await self._processing(event)
        if job is None or job.chunks_planned is not None:
            return
        await self._jobs.change(
            job,
            chunks_planned=event.chunks,
            duration_seconds=event.duration_seconds,
            speech_seconds=event.speech_seconds,
            language=event.language,
            plan_key=event.plan_key,
            peaks_key=event.peaks_key,
            source=None if event.source is None else sanitized(event.source.model_dump(mode="json")),
            warnings=sanitized([warning.model_dump() for warning in event.warnings]),
            cpu_seconds=job.cpu_seconds + event.cpu_seconds,
            progressed_at=func.now(),
        )
        await self._quotas.charge(job, event.duration_seconds)
        log.info(
            "plan finished",
            chunks=event.chunks,
            duration_seconds=event.duration_seconds,
            speech_seconds=event.speech_seconds,
            language=event.language,
        )
        self._history.progress(job)
        await self._assemble_if_all_done(job)

    async def audio_rejected(self, event: AudioRejected) -> None:
        """Fail a job whose recording cannot be transcribed."""
        job = await self._processing(event)
        if job is not None:
            await self.fail(job, sanitized(event.reason_code), sanitized(event.reason))

    async def chunk_transcribed(self, event: ChunkTranscribed) -> None:
        """Store a chunk's result; the last result sends the assembly."""
        job = await self._processing(event)
        if job is None:
            await self._jobs.spend(event.job_id, **_costs_of_wasted_result(event))
            return
        row = await self._ledger.finish(event)
        if row is None:
            await self._jobs.spend(event.job_id, **_costs_of_wasted_result(event))
            return
        spent = _costs_of_result(job, event, row.repeated)
        await self._count(job, row, done=1, decode_seconds=event.decode_seconds, spent=spent)
        metrics.DECODE_SECONDS.inc(event.decode_seconds)
        log.info(
            "chunk finished",
            chunk=event.chunk,
            done=job.chunks_done,
            of=max(job.chunks_known, job.chunks_planned or 0),
            audio_seconds=event.audio_seconds,
            decode_seconds=event.decode_seconds,
            worker=event.worker,
        )
        self._history.segments(job, event.chunk)
        await self._assemble_if_all_done(job)
        self._jobs.wake_dispatch()

    async def transcript_ready(self, event: TranscriptReady) -> None:
        """Move the pointer to the stored transcript, which makes it readable."""
        job = await self._processing(event)
        if job is None:
            return
        states.require(State(job.state), State.ENRICHING)
        await self._jobs.change(
            job,
            state=State.ENRICHING,
            transcript_attempt=event.attempt,
            transcript_sha256=event.transcript_sha256,
            formats=event.formats,
            language=event.language,
            duration_seconds=event.duration_seconds,
            speech_seconds=event.speech_seconds,
            segments=event.segments,
            words=event.words,
            transcribed_at=func.now(),
            progressed_at=func.now(),
        )
        texts = await self._ledger.texts(job.id, job.attempt)
        await self._search.put_transcript(job, texts, job.spoken_language)
        self._history.state(job)
        outbox.add(
            self._session,
            JobTranscribed(
                job_id=job.id,
                owner_id=job.owner_id,
                attempt=event.attempt,
                transcript_key=keys.transcript(job.id, event.attempt, "json"),
                language=event.language,
                duration_seconds=event.duration_seconds,
                speech_seconds=event.speech_seconds,
                segments=event.segments,
                words=event.words,
            ),
        )
        assert job.transcribed_at is not None
        assert job.started_at is not None
        seconds = (job.transcribed_at - job.started_at).total_seconds()
        metrics.TRANSCRIPTION_SECONDS.observe(seconds)
        metrics.AUDIO_SECONDS.inc(event.duration_seconds)
        log.info(
            "transcript ready",
            language=event.language,
            segments=event.segments,
            words=event.words,
            duration_seconds=event.duration_seconds,
            transcription_seconds=round(seconds, 3),
        )
        self._jobs.wake_dispatch()

    async def metadata_enriched(self, event: MetadataEnriched) -> None:
        """Complete a job with its metadata; late metadata removes the note that it is missing."""
        job = await self._jobs.lock_attempt(event.job_id, event.attempt)
        if job is None:
            return self._stale(event)
        found: dict[str, Any] = {}
        if job.transcript_attempt == event.attempt:
            found["keywords"] = sanitized(event.keywords)
            await self._search.put_keywords(job.id, found["keywords"])
        if job.state == State.ENRICHING:
            return await self.complete(job, **found)
        if job.reason_code == Reason.ENRICHMENT_TIMED_OUT:
            code = Reason.NO_SPEECH if job.chunks_planned == 0 else None
            found |= {"reason_code": code, "reason": None if code is None else REASONS[code]}
            log.info("metadata arrived late")
        else:
            self._stale(event)
        if found:
            await self._jobs.change(job, **found)
        return None

    async def metadata_failed(self, event: MetadataFailed) -> None:
        """Complete a job without metadata."""
        job = await self._jobs.lock_attempt(event.job_id, event.attempt)
        if job is not None and job.state == State.ENRICHING:
            sentence = REASONS[Reason.ENRICHMENT_FAILED].format(why=sanitized(event.reason))
            await self.complete(job, Reason.ENRICHMENT_FAILED, sentence)
        else:
            self._stale(event)

    async def complete(self, job: Job, code: Reason | None = None, reason: str | None = None, **found: Any) -> None:
        """Complete a locked job; the reason, if any, says what is missing.

        Further values are written to the columns of these names.
        """
        states.require(State(job.state), State.COMPLETED)
        if code is None and job.chunks_planned == 0:
            code, reason = Reason.NO_SPEECH, REASONS[Reason.NO_SPEECH]
        ended = {"state": State.COMPLETED, "reason_code": code, "reason": reason, "finished_at": func.now()}
        await self._jobs.change(job, **ended, **found)
        self._history.state(job)
        outbox.add(
            self._session,
            JobCompleted(job_id=job.id, owner_id=job.owner_id, attempt=job.attempt, note=reason),
        )
        metrics.JOBS_FINISHED.labels(State.COMPLETED, code or "").inc()
        assert job.finished_at is not None
        total = round((job.finished_at - job.queued_at).total_seconds(), 3)
        log.info("job completed", total_seconds=total, **({"note": reason} if reason else {}))

    async def fail(self, job: Job, code: str, reason: str) -> None:
        """Fail a locked job, and cancel its work."""
        states.require(State(job.state), State.FAILED)
        await self._jobs.change(job, state=State.FAILED, reason_code=code, reason=reason, finished_at=func.now())
        self._history.state(job)
        outbox.add(
            self._session,
            JobFailed(job_id=job.id, owner_id=job.owner_id, attempt=job.attempt, reason_code=code, reason=reason),
        )
        self._cancellations.after_commit(self._session, job.id, job.attempt)
        metrics.JOBS_FINISHED.labels(State.FAILED, code).inc()
        log.warning("job failed", reason_code=code, reason=reason)
        self._jobs.wake_dispatch()

    async def _processing(self, event: AttemptEvent) -> Job | None:
        """Lock the job of an event; None if the event is stale."""
        job = await self._jobs.lock_attempt(event.job_id, event.attempt)
        if job is not None and job.state == State.PROCESSING:
            return job
        self._stale(event)
        return None

    def _stale(self, event: AttemptEvent | MetadataEnriched | MetadataFailed) -> None:
        metrics.STALE_RESULTS.labels(event.routing_key).inc()
        log.info("stale result ignored", attempt=event.attempt, result=event.routing_key)

    async def _count(
        self,
        job: Job,
        row: LedgerRow,
        *,
        done: int = 0,
        decode_seconds: float = 0.0,
        spent: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        await self._jobs.change(
            job,
            chunks_known=job.chunks_known + row.new,
            seconds_known=job.seconds_known + (row.seconds if row.new else 0.0),
            chunks_done=job.chunks_done + done,
            seconds_done=job.seconds_done + (row.seconds if done else 0.0),
            decode_seconds=job.decode_seconds + decode_seconds,
            progressed_at=func.now(),
            **spent,
        )

    async def _assemble_if_all_done(self, job: Job) -> None:
        if job.chunks_planned is None or job.chunks_done < job.chunks_planned or job.assembling_at is not None:
            return
        await self._jobs.change(job, assembling_at=func.now(), work_dispatched_at=func.now(), work_dispatches=1)
        await self._work.assemble(job)
        log.info("assembly dispatched", chunks=job.chunks_done)


def _costs_of_result(job: Job, event: ChunkTranscribed, repeated: int) -> dict[str, float]:
    """Return the cost columns after a used result; `repeated` is the number of repeated dispatches."""
    return {
        "cpu_seconds": job.cpu_seconds + event.cpu_seconds,
        "gpu_seconds": job.gpu_seconds + event.gpu_seconds,
        "decoded_seconds": job.decoded_seconds + (event.audio_seconds if event.decode_seconds else 0.0),
        "wasted_seconds": job.wasted_seconds + event.wasted_seconds,
        "retries": job.retries + max(0, event.deliveries - 1) + repeated,
    }


def _costs_of_wasted_result(event: ChunkTranscribed) -> dict[str, float]:
    """Return the added costs of a result that is not used."""
    return {
        "cpu_seconds": event.cpu_seconds,
        "gpu_seconds": event.gpu_seconds,
        "wasted_seconds": event.decode_seconds + event.wasted_seconds,
    }
