"""Chunk work: decode a chunk's windows once and store the result under a fixed key."""

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

import structlog

from common.events import AudioRejected, ChunkTranscribed, ChunkWork, TextSegment, keys
from common.messaging import Broker
from common.storage import ObjectMissing
from common.text.joining import joined
from transcriber import metrics
from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.decoding.passes import decode_in_passes
from transcriber.decoding.timeline import Timeline
from transcriber.engines.base import DecodeOptions, LanguageUnsupported, Window, WindowResult
from transcriber.engines.process import EngineProcess
from transcriber.speech.packing import cut_windows
from transcriber.text.documents import JsonDocument

from .batching import BATCH, Batcher, Cost, Request
from .cancellations import Cancellations
from .retries import RETRY_SECONDS, retry
from .store import CachingStore

log = structlog.get_logger(__name__)

_TEXT_LIMIT: Final = 4000  # characters of a chunk's text that the event carries
_SEGMENT_LIMIT: Final = 200  # segments that the event carries; both are several times what a chunk holds
_FAILURES_REMEMBERED: Final = 1000


Read = Callable[[str], Awaitable[bytes]]


class Transcriber:
    """Turns stored chunks into stored results; a result that exists already is published again, not decoded again."""

    def __init__(
        self,
        *,
        store: CachingStore,
        broker: Broker,
        engine: EngineProcess,
        batcher: Batcher,
        cancellations: Cancellations,
        worker: str,
    ) -> None:
        self._store = store
        self._broker = broker
        self._engine = engine
        self._batcher = batcher
        self._cancellations = cancellations
        self._worker = worker
        # Seconds of failed tries by the work's key: published with the try that succeeds, if it succeeds here.
        self._wasted: OrderedDict[str, float] = OrderedDict()

    async def transcribe(self, work: ChunkWork, *, delivery: int = 1) -> None:
        """Do the work and publish ChunkTranscribed.

        After a failed delivery the chunk is decoded in a call of its own, and at the last delivery window by window.
        Raises WorkCancelled, ObjectMissing, StoreUnavailable, and errors of the engine after which a retry may help.
        """
        try:
            await self._transcribe(work, delivery)
        finally:
            await self._batcher.stop_expecting(work.key)

    async def repeat(self, work: ChunkWork, *, key: str, delivery: int) -> JsonDocument:
        """Decode a stored chunk again and return the result without storing it; raises as `transcribe`."""
        meta = await self._meta(work, self._store.get)
        return await self._decode(work, meta, delivery, Cost(), key=key)

    async def _transcribe(self, work: ChunkWork, delivery: int) -> None:
        meta = await self._meta(work, self._store.get_cached)
        result_key = keys.result(*_place(work))
        cost = Cost()
        result = await self._stored(result_key)
        if result is None:
            try:
                result = await self._decode(work, meta, delivery, cost)
            except LanguageUnsupported as error:
                await self._reject(work, str(error))
                return
            except Exception:
                self._add_waste(work.key, cost.wall)
                raise
            data = result.data
            await retry(lambda: self._store.put(result_key, data, "application/json"))
        await self._publish(work, meta, result, cost, delivery)

    async def _meta(self, work: ChunkWork, read: Read) -> dict[str, Any]:
        meta: dict[str, Any] = json.loads(await retry(lambda: read(keys.chunk_meta(*_place(work)))))
        return meta

    def _add_waste(self, key: str, seconds: float) -> None:
        self._wasted[key] = self._wasted.get(key, 0.0) + seconds
        while len(self._wasted) > _FAILURES_REMEMBERED:
            self._wasted.popitem(last=False)

    async def _stored(self, key: str) -> JsonDocument | None:
        try:
            return JsonDocument.parse(await retry(lambda: self._store.get(key)))
        except ObjectMissing:
            return None

    async def _decode(
        self, work: ChunkWork, meta: dict[str, Any], delivery: int, cost: Cost, *, key: str = ""
    ) -> JsonDocument:
        """Decode a chunk's windows; the cost is added to `cost`, also when decoding fails."""
        read = self._store.get if key else self._store.get_cached  # a verification reads what is stored
        pcm = await retry(lambda: read(keys.chunk_audio(*_place(work))))
        windows = cut_windows(pcm, [round(window["seconds"] * SAMPLE_RATE) for window in meta["windows"]])
        options = DecodeOptions(
            language=work.language,
            task=work.options.task,
            initial_prompt=work.options.initial_prompt,
            hotwords=work.options.hotwords,
            multilingual=work.options.multilingual,
        )

        def check_cancelled() -> None:
            self._cancellations.check(work.job_id, work.attempt)

        async def decode(some: Sequence[Window]) -> list[WindowResult]:
            request = Request(
                key or work.key, work.options.model, some, options, check_cancelled, exclusive=delivery > 1
            )
            try:
                return await self._batcher.decode(request)
            finally:
                cost.add(request.cost)

        results: list[WindowResult] = []
        for batch in _batches(windows, 1 if delivery > 2 else BATCH):
            results += await decode_in_passes(decode, batch)
        check_cancelled()
        return JsonDocument.of(
            {
                "engine": asdict(await self._engine.info(work.options.model)),
                "windows": [
                    Timeline(window).document(result, audio)
                    for window, result, audio in zip(meta["windows"], results, windows, strict=True)
                ],
            }
        )

    async def _publish(
        self, work: ChunkWork, meta: dict[str, Any], result: JsonDocument, cost: Cost, delivery: int
    ) -> None:
        windows = result.content["windows"]
        text = joined(window["text"] for window in windows)
        segments = [segment for window in windows for segment in window["segments"] if segment["text"]]
        audio_seconds = round(sum(window["seconds"] for window in meta["windows"]), 3)
        event = ChunkTranscribed(
            job_id=work.job_id,
            attempt=work.attempt,
            chunk=work.chunk,
            result_key=keys.result(*_place(work)),
            result_sha256=result.sha256,
            text=text[:_TEXT_LIMIT],
            segments=[TextSegment.model_validate(segment) for segment in segments[:_SEGMENT_LIMIT]],
            audio_seconds=audio_seconds,
            decode_seconds=round(cost.wall, 3),
            worker=self._worker,
            cpu_seconds=round(cost.cpu, 3),
            gpu_seconds=round(cost.gpu, 3),
            wasted_seconds=round(self._wasted.pop(work.key, 0.0), 3),
            deliveries=delivery,
        )
        await self._broker.publish(event, retry_seconds=RETRY_SECONDS)
        if cost.wall:
            metrics.CHUNKS.labels("decoded").inc()
            metrics.AUDIO_SECONDS.labels("decoded").inc(audio_seconds)
            metrics.DECODE_SECONDS.labels(work.options.model).inc(cost.wall)
            metrics.CHUNK_DECODE_SECONDS.labels(work.options.model).observe(cost.wall)
            log.info(
                "chunk decoded", chunk=work.chunk, audio_seconds=audio_seconds, decode_seconds=event.decode_seconds
            )
        else:
            metrics.CHUNKS.labels("reused").inc()
            log.info("chunk result reused", chunk=work.chunk, audio_seconds=audio_seconds)

    async def _reject(self, work: ChunkWork, reason: str) -> None:
        metrics.REJECTIONS.labels("unsupported_language").inc()
        log.warning("recording rejected", reason_code="unsupported_language", reason=reason)
        event = AudioRejected(
            job_id=work.job_id, attempt=work.attempt, reason_code="unsupported_language", reason=reason
        )
        await self._broker.publish(event, retry_seconds=RETRY_SECONDS)


def _place(work: ChunkWork) -> tuple[Any, int, int]:
    return work.job_id, work.attempt, work.chunk


def _batches(windows: Sequence[Window], size: int) -> list[Sequence[Window]]:
    return [windows[start : start + size] for start in range(0, len(windows), size)]
