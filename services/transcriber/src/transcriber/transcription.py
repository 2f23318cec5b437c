"""Chunk work: a chunk's windows go through the engine once, and what they say is stored under a fixed key."""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import structlog

from common.events import AudioRejected, ChunkTranscribed, ChunkWork, TextSegment
from common.messaging import Broker
from common.storage import ObjectMissing, ObjectStore, keys

from . import metrics
from .audio import SAMPLE_RATE
from .cancellations import Cancellations
from .chunks import cut_windows
from .documents import canonical
from .engines.base import DecodeOptions, LanguageUnsupported, Window, WindowResult
from .patience import PATIENCE, patiently
from .process import EngineProcess
from .timeline import Timeline

log = structlog.get_logger(__name__)

BATCH: Final = 8  # windows per call to the engine; part of the plan, for engines whose results depend on the batch
_TEXT_LIMIT: Final = 4000  # characters of a chunk's text that travel with its event
_SEGMENT_LIMIT: Final = 200  # and segments; both are several times what people say in a chunk


class Transcriber:
    """Turns stored chunks into stored results; a result that is there already is announced, not made again."""

    def __init__(
        self, *, store: ObjectStore, broker: Broker, engine: EngineProcess, cancellations: Cancellations, worker: str
    ) -> None:
        self._store = store
        self._broker = broker
        self._engine = engine
        self._cancellations = cancellations
        self._worker = worker
        self._slot = asyncio.Lock()  # one chunk at a time: a second one would only slow the first down

    async def transcribe(self, work: ChunkWork, *, alone: bool = False) -> None:
        """Do the work and publish ChunkTranscribed; `alone` decodes window by window, after an earlier failure.

        Raises WorkCancelled, and whatever may be gone when the work is tried again.
        """
        meta = json.loads(await patiently(lambda: self._store.get(keys.chunk_meta(*_place(work)))))
        result_key = keys.result(*_place(work))
        spent = 0.0
        stored = await self._stored(result_key)
        if stored is None:
            async with self._slot:
                self._cancellations.check(work.job_id, work.attempt)
                started = time.monotonic()
                try:
                    stored = canonical(await self._decode(work, meta, alone=alone))
                except LanguageUnsupported as error:
                    await self._reject(work, str(error))
                    return
                spent = time.monotonic() - started
            await patiently(lambda: self._store.put(result_key, stored, "application/json"))
        await self._announce(work, meta, stored, spent)

    async def _stored(self, key: str) -> bytes | None:
        try:
            return await patiently(lambda: self._store.get(key))
        except ObjectMissing:
            return None

    async def _decode(self, work: ChunkWork, meta: dict[str, Any], *, alone: bool) -> dict[str, Any]:
        pcm = await patiently(lambda: self._store.get(keys.chunk_audio(*_place(work))))
        windows = cut_windows(pcm, [round(window["seconds"] * SAMPLE_RATE) for window in meta["windows"]])
        options = DecodeOptions(
            language=work.language, task=work.options.task, initial_prompt=work.options.initial_prompt
        )
        results: list[WindowResult] = []
        for batch in _batches(windows, 1 if alone else BATCH):
            self._cancellations.check(work.job_id, work.attempt)
            results += await self._engine.decode(work.options.model, batch, options)
        self._cancellations.check(work.job_id, work.attempt)
        return {
            "engine": asdict(await self._engine.info(work.options.model)),
            "windows": [
                Timeline(window).document(result, audio)
                for window, result, audio in zip(meta["windows"], results, windows, strict=True)
            ],
        }

    async def _announce(self, work: ChunkWork, meta: dict[str, Any], stored: bytes, spent: float) -> None:
        said = json.loads(stored)["windows"]
        text = " ".join(window["text"] for window in said if window["text"])
        segments = [segment for window in said for segment in window["segments"] if segment["text"]]
        audio_seconds = round(sum(window["seconds"] for window in meta["windows"]), 3)
        event = ChunkTranscribed(
            job_id=work.job_id,
            attempt=work.attempt,
            chunk=work.chunk,
            result_key=keys.result(*_place(work)),
            result_sha256=hashlib.sha256(stored).hexdigest(),
            text=text[:_TEXT_LIMIT],
            segments=[TextSegment.model_validate(segment) for segment in segments[:_SEGMENT_LIMIT]],
            audio_seconds=audio_seconds,
            decode_seconds=round(spent, 3),
            worker=self._worker,
        )
        await self._broker.publish(event, patience=PATIENCE)
        if spent:
            metrics.CHUNKS.labels("decoded").inc()
            metrics.AUDIO_SECONDS.labels("decoded").inc(audio_seconds)
            metrics.DECODE_SECONDS.labels(work.options.model).inc(spent)
            metrics.CHUNK_DECODE_SECONDS.labels(work.options.model).observe(spent)
            log.info("chunk decoded", chunk=work.chunk, audio_seconds=audio_seconds, decode_seconds=round(spent, 3))
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
