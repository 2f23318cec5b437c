"""Plan work: decode a recording, cut it into chunks, and publish each chunk as soon as it exists."""

import asyncio
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from common.events import AudioPlanned, AudioRejected, AudioSource, ChunkPlanned, PlanWork, RecordingWarning, keys
from common.messaging import Broker
from common.storage import ObjectMissing
from transcriber import metrics
from transcriber.audio.decoders import Decoders
from transcriber.engines.process import EngineProcess
from transcriber.errors import NoRoom, Rejected
from transcriber.speech.analysis import Analysis, ChunkAudio
from transcriber.speech.detector import model_digest
from transcriber.text.documents import canonical_json

from .cancellations import Cancellations
from .cpu_time import CpuClock
from .language_choice import LanguageChoice
from .recording import Recording, SampleSink, read_recording
from .retries import RETRY_SECONDS, retry
from .store import CachingStore
from .workspace import work_folder

log = structlog.get_logger(__name__)


class Planner:
    """Turns a stored recording into stored chunks; repeating it stores the same bytes and publishes the same events."""

    def __init__(
        self,
        *,
        store: CachingStore,
        broker: Broker,
        decoders: Decoders,
        engine: EngineProcess,
        models: Sequence[str],
        cancellations: Cancellations,
        work_dir: Path,
        max_seconds: float,
    ) -> None:
        self._store = store
        self._broker = broker
        self._decoders = decoders
        self._engine = engine
        self._models = models
        self._cancellations = cancellations
        self._work_dir = work_dir
        self._max_seconds = max_seconds

    async def plan(self, work: PlanWork) -> None:
        """Do the work and publish AudioPlanned, or AudioRejected for a recording that cannot be transcribed.

        Raises WorkCancelled, and StoreUnavailable, NoRoom, DecoderDied and EngineError, after which a retry may help.
        """
        started = time.monotonic()
        try:
            await self._plan(work)
        except Rejected as rejection:
            metrics.REJECTIONS.labels(rejection.code).inc()
            log.warning("recording rejected", reason_code=rejection.code, reason=rejection.reason)
            event = AudioRejected(
                job_id=work.job_id, attempt=work.attempt, reason_code=rejection.code, reason=rejection.reason
            )
            await self._broker.publish(event, retry_seconds=RETRY_SECONDS)
        finally:
            metrics.PLAN_SECONDS.inc(time.monotonic() - started)

    async def _plan(self, work: PlanWork) -> None:
        self._cancellations.check(work.job_id, work.attempt)
        cpu = CpuClock()
        choice = LanguageChoice(self._engine, work.options, self._models)
        publisher = _ChunkPublisher(work, choice, self._store, self._broker)
        analysis = await asyncio.to_thread(Analysis)
        with work_folder(self._work_dir) as place:
            path = place / "source"
            await self._fetch(work, path)
            recording = await read_recording(
                self._decoders,
                path,
                track=work.options.track,
                max_seconds=self._max_seconds,
                sink=self._sink(work, analysis, publisher, cpu),
            )
        self._cancellations.check(work.job_id, work.attempt)
        await self._publish_plan(work, analysis, publisher, recording, cpu.seconds + recording.cpu_seconds)

    def _sink(self, work: PlanWork, analysis: Analysis, publisher: "_ChunkPublisher", cpu: CpuClock) -> SampleSink:
        """Build a sink that analyses the samples and publishes each chunk as soon as it exists."""

        async def take(pcm: bytes) -> None:
            await publisher.add(await cpu.run(analysis.feed, pcm))

        async def end() -> float:
            await publisher.add(await cpu.run(analysis.finish), last=True)
            return analysis.voice_seconds

        return SampleSink(take, end, lambda: self._cancellations.check(work.job_id, work.attempt), cpu)

    async def _fetch(self, work: PlanWork, path: Path) -> None:
        """Copy the recording to a file, because many formats are read from their end."""
        free = shutil.disk_usage(path.parent).free
        if work.size_bytes > free:
            raise NoRoom(f"{self._work_dir} has {free} bytes free, the recording has {work.size_bytes}")
        try:
            await retry(lambda: self._store.download(work.source_key, path))
        except ObjectMissing:
            raise Rejected("source_missing") from None

    async def _publish_plan(
        self,
        work: PlanWork,
        analysis: Analysis,
        publisher: "_ChunkPublisher",
        recording: Recording,
        cpu_seconds: float,
    ) -> None:
        choice = publisher.choice
        plan_key = keys.plan(work.job_id, work.attempt)
        peaks_key = keys.peaks(work.job_id, work.attempt)
        duration, speech = round(analysis.duration_seconds, 3), round(analysis.speech_seconds, 3)
        for warning in recording.warnings:
            log.warning("recording incomplete", code=warning["code"], text=warning["text"])
        plan = {
            "version": 1,
            "duration_seconds": duration,
            "speech_seconds": speech,
            "language": choice.language,
            "language_probability": choice.probability,
            "source": recording.source,
            "decoder": recording.decoder,
            "detector": model_digest(),
            "warnings": recording.warnings,
            "chunks": publisher.chunks,
        }
        peaks = await asyncio.to_thread(lambda: canonical_json(analysis.peaks.document()))
        await self._put_json(peaks_key, peaks)
        await self._put_json(plan_key, canonical_json(plan))
        metrics.AUDIO_SECONDS.labels("planned").inc(duration)
        event = AudioPlanned(
            job_id=work.job_id,
            attempt=work.attempt,
            chunks=len(publisher.chunks),
            duration_seconds=duration,
            speech_seconds=speech,
            language=choice.language,
            plan_key=plan_key,
            peaks_key=peaks_key,
            cpu_seconds=round(cpu_seconds, 3),
            source=AudioSource.model_validate(recording.source),
            warnings=[RecordingWarning.model_validate(warning) for warning in recording.warnings],
        )
        await self._broker.publish(event, retry_seconds=RETRY_SECONDS)
        log.info(
            "recording planned",
            chunks=event.chunks,
            duration_seconds=duration,
            speech_seconds=speech,
            language=choice.language,
            forced_cuts=sum(chunk["forced_cuts"] for chunk in publisher.chunks),
        )

    async def _put_json(self, key: str, document: bytes) -> None:
        await retry(lambda: self._store.put(key, document, "application/json"))


class _ChunkPublisher:
    """Stores and publishes the chunks of one plan as soon as the language is known."""

    def __init__(self, work: PlanWork, choice: LanguageChoice, store: CachingStore, broker: Broker) -> None:
        self._work = work
        self.choice = choice
        self._store = store
        self._broker = broker
        self._waiting: list[ChunkAudio] = []
        self.chunks: list[dict[str, Any]] = []

    async def add(self, found: Sequence[ChunkAudio], *, last: bool = False) -> None:
        """Store and publish chunks, in order."""
        for position, chunk in enumerate(found):
            self._waiting.append(chunk)
            final = last and position == len(found) - 1
            language = await self.choice.add(chunk.windows(), last=final)
            if language is not None:
                await self._release(language)
        undecided = bool(self.chunks) and self.choice.language is None
        if last and (self._waiting or undecided):
            language = await self.choice.add([], last=True)
            assert language is not None
            await self._release(language)

    async def _release(self, language: str) -> None:
        for chunk in self._waiting:
            await self._publish(chunk, language)
        self._waiting.clear()

    async def _publish(self, found: ChunkAudio, language: str) -> None:
        job, attempt, chunk = self._work.job_id, self._work.attempt, found.chunk
        audio_key, meta_key = keys.chunk_audio(job, attempt, chunk.index), keys.chunk_meta(job, attempt, chunk.index)
        await retry(lambda: self._store.put(audio_key, found.pcm))
        await retry(lambda: self._store.put(meta_key, canonical_json(chunk.document()), "application/json"))
        event = ChunkPlanned(
            job_id=job,
            attempt=attempt,
            chunk=chunk.index,
            start_seconds=round(chunk.start_seconds, 3),
            end_seconds=round(chunk.end_seconds, 3),
            speech_seconds=round(chunk.speech_seconds, 3),
            windows=len(chunk.windows),
            language=language,
        )
        await self._broker.publish(event, retry_seconds=RETRY_SECONDS)
        forced = sum(window.forced_cut for window in chunk.windows)
        metrics.CHUNKS.labels("planned").inc()
        metrics.FORCED_CUTS.inc(forced)
        log.info(
            "chunk planned",
            chunk=event.chunk,
            start_seconds=event.start_seconds,
            end_seconds=event.end_seconds,
            windows=event.windows,
        )
        self.chunks.append(
            {
                "chunk": event.chunk,
                "start_seconds": event.start_seconds,
                "end_seconds": event.end_seconds,
                "speech_seconds": event.speech_seconds,
                "windows": event.windows,
                "forced_cuts": forced,
            }
        )
