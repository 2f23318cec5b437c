"""Chunk work: a chunk's windows go through the engine once, and what they say is stored under a fixed key."""

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import structlog

from common.events import AudioRejected, ChunkTranscribed, ChunkWork, TextSegment, keys
from common.messaging import Broker
from common.storage import ObjectMissing
from common.text.joining import joined
from transcriber import metrics
from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.decoding.passes import hear
from transcriber.decoding.timeline import Timeline
from transcriber.engines.base import DecodeOptions, LanguageUnsupported, Window, WindowResult
from transcriber.engines.process import EngineProcess
from transcriber.speech.packing import cut_windows
from transcriber.text.formats import canonical_json

from .batching import BATCH, Batcher, Request, Spent
from .cancellations import Cancellations
from .provenance import digest
from .retries import PATIENCE, patiently
from .store import RecentStore

log = structlog.get_logger(__name__)

_TEXT_LIMIT: Final = 4000  # characters of a chunk's text that travel with its event
_SEGMENT_LIMIT: Final = 200  # and segments; both are several times what people say in a chunk
_FAILURES_REMEMBERED: Final = 1000


Read = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True)
class Decoded:
    """A result document as it is stored, and what it cost to make."""

    stored: bytes
    spent: Spent = field(default_factory=Spent)


class Transcriber:
    """Turns stored chunks into stored results; a result that is there already is announced, not made again."""

    def __init__(
        self,
        *,
        store: RecentStore,
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
        # Seconds of tries that failed, by the work's key: told with the try that succeeds, if that is here.
        self._wasted: OrderedDict[str, float] = OrderedDict()

    async def transcribe(self, work: ChunkWork, *, delivery: int = 1) -> None:
        """Do the work and publish ChunkTranscribed.

        After a failed delivery the chunk shares no call with others, and the last time it is decoded window by window.
        Raises WorkCancelled, and whatever may be gone when the work is tried again.
        """
        meta = await self._meta(work, self._store.recall)
        result_key = keys.result(*_place(work))
        stored = await self._stored(result_key)
        if stored is not None:
            await self._announce(work, meta, Decoded(stored), delivery)
            return
        spent = Spent()
        try:
            decoded = await self._decode(work, meta, delivery, spent)
        except LanguageUnsupported as error:
            await self._reject(work, str(error))
            return
        except Exception:
            self._waste(work.key, spent.wall)
            raise
        await patiently(lambda: self._store.put(result_key, decoded.stored, "application/json"))
        await self._announce(work, meta, decoded, delivery)

    async def repeat(self, work: ChunkWork, *, key: str, delivery: int) -> tuple[bytes, dict[str, str]]:
        """Transcribe a stored chunk again and return what would be stored, and the engine; raises as `transcribe`."""
        meta = await self._meta(work, self._store.get)
        decoded = await self._decode(work, meta, delivery, Spent(), key=key)
        engine: dict[str, str] = json.loads(decoded.stored)["engine"]
        return decoded.stored, engine

    async def _meta(self, work: ChunkWork, read: Read) -> dict[str, Any]:
        meta: dict[str, Any] = json.loads(await patiently(lambda: read(keys.chunk_meta(*_place(work)))))
        return meta

    def _waste(self, key: str, seconds: float) -> None:
        self._wasted[key] = self._wasted.get(key, 0.0) + seconds
        while len(self._wasted) > _FAILURES_REMEMBERED:
            self._wasted.popitem(last=False)

    async def _stored(self, key: str) -> bytes | None:
        try:
            return await patiently(lambda: self._store.get(key))
        except ObjectMissing:
            return None

    async def _decode(
        self, work: ChunkWork, meta: dict[str, Any], delivery: int, spent: Spent, *, key: str = ""
    ) -> Decoded:
        """Decode a chunk's windows; what that costs is added to `spent`, also when it fails."""
        read = self._store.get if key else self._store.recall  # a repetition is of what is stored
        pcm = await patiently(lambda: read(keys.chunk_audio(*_place(work))))
        windows = cut_windows(pcm, [round(window["seconds"] * SAMPLE_RATE) for window in meta["windows"]])
        options = DecodeOptions(
            language=work.language,
            task=work.options.task,
            initial_prompt=work.options.initial_prompt,
            hotwords=work.options.hotwords,
            multilingual=work.options.multilingual,
        )

        def wanted() -> None:
            self._cancellations.check(work.job_id, work.attempt)

        async def decode(some: Sequence[Window]) -> list[WindowResult]:
            request = Request(key or work.key, work.options.model, some, options, wanted, alone=delivery > 1)
            try:
                return await self._batcher.decode(request)
            finally:
                spent.add(request.spent)

        results: list[WindowResult] = []
        for batch in _batches(windows, 1 if delivery > 2 else BATCH):
            results += await hear(decode, batch)
        wanted()
        document = {
            "engine": asdict(await self._engine.info(work.options.model)),
            "windows": [
                Timeline(window).document(result, audio)
                for window, result, audio in zip(meta["windows"], results, windows, strict=True)
            ],
        }
        return Decoded(canonical_json(document), spent)

    async def _announce(self, work: ChunkWork, meta: dict[str, Any], decoded: Decoded, delivery: int) -> None:
        said, spent = json.loads(decoded.stored)["windows"], decoded.spent
        text = joined(window["text"] for window in said)
        segments = [segment for window in said for segment in window["segments"] if segment["text"]]
        audio_seconds = round(sum(window["seconds"] for window in meta["windows"]), 3)
        event = ChunkTranscribed(
            job_id=work.job_id,
            attempt=work.attempt,
            chunk=work.chunk,
            result_key=keys.result(*_place(work)),
            result_sha256=digest(decoded.stored),
            text=text[:_TEXT_LIMIT],
            segments=[TextSegment.model_validate(segment) for segment in segments[:_SEGMENT_LIMIT]],
            audio_seconds=audio_seconds,
            decode_seconds=round(spent.wall, 3),
            worker=self._worker,
            cpu_seconds=round(spent.cpu, 3),
            gpu_seconds=round(spent.gpu, 3),
            wasted_seconds=round(self._wasted.pop(work.key, 0.0), 3),
            deliveries=delivery,
        )
        await self._broker.publish(event, patience=PATIENCE)
        if spent.wall:
            metrics.CHUNKS.labels("decoded").inc()
            metrics.AUDIO_SECONDS.labels("decoded").inc(audio_seconds)
            metrics.DECODE_SECONDS.labels(work.options.model).inc(spent.wall)
            metrics.CHUNK_DECODE_SECONDS.labels(work.options.model).observe(spent.wall)
            log.info(
                "chunk decoded", chunk=work.chunk, audio_seconds=audio_seconds, decode_seconds=event.decode_seconds
            )
        else:
            metrics.CHUNKS.labels("reused").inc()
            log.info("chunk was decoded before", chunk=work.chunk, audio_seconds=audio_seconds)

    async def _reject(self, work: ChunkWork, reason: str) -> None:
        metrics.REJECTIONS.labels("unsupported_language").inc()
        log.warning("recording rejected", reason_code="unsupported_language", reason=reason)
        event = AudioRejected(
            job_id=work.job_id, attempt=work.attempt, reason_code="unsupported_language", reason=reason
        )
        await self._broker.publish(event, patience=PATIENCE)


def _place(work: ChunkWork) -> tuple[Any, int, int]:
    return work.job_id, work.attempt, work.chunk


def _batches(windows: Sequence[Window], size: int) -> list[Sequence[Window]]:
    return [windows[start : start + size] for start in range(0, len(windows), size)]
