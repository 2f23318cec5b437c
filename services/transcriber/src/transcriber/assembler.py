"""Assembly work: the plan and all results are read, the transcript is stored in every format."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

import structlog

from common.events import AssembleWork, TranscriptReady
from common.messaging import Broker
from common.storage import ObjectStore, keys

from . import metrics
from .assembly import assemble, count_words
from .cancellations import Cancellations
from .formats import FORMATS
from .patience import PATIENCE, patiently

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 8  # results fetched side by side


class Assembler:
    """Turns the results of an attempt into its transcript; repeating it stores the same bytes again."""

    def __init__(self, *, store: ObjectStore, broker: Broker, cancellations: Cancellations) -> None:
        self._store = store
        self._broker = broker
        self._cancellations = cancellations

    async def assemble(self, work: AssembleWork) -> None:
        """Do the work and publish TranscriptReady; raises WorkCancelled, ObjectMissing, StoreUnavailable."""
        self._cancellations.check(work.job_id, work.attempt)
        plan = json.loads(await patiently(lambda: self._store.get(work.plan_key)))
        results = await self._results(work.result_keys)
        engines = {json.dumps(result["engine"], sort_keys=True) for result in results}
        if len(engines) > 1:
            log.warning("chunks were decoded by different engines", engines=sorted(engines))
        self._cancellations.check(work.job_id, work.attempt)
        files = await asyncio.to_thread(_write, plan, results, work)
        for name, (data, content_type) in files.items():
            await self._put(keys.transcript(work.job_id, work.attempt, name), data, content_type)
        transcript = json.loads(files["json"][0])
        event = TranscriptReady(
            job_id=work.job_id,
            attempt=work.attempt,
            formats=list(files),
            transcript_sha256=hashlib.sha256(files["json"][0]).hexdigest(),
            language=transcript["language"],
            duration_seconds=transcript["duration_seconds"],
            speech_seconds=transcript["speech_seconds"],
            segments=len(transcript["segments"]),
            words=count_words(results),
        )
        await self._broker.publish(event, patience=PATIENCE)
        metrics.TRANSCRIPTS.inc()
        log.info("transcript assembled", chunks=len(results), segments=event.segments, words=event.words)

    async def _results(self, result_keys: Sequence[str]) -> list[dict[str, Any]]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def fetch(key: str) -> dict[str, Any]:
            async with gate:
                document: dict[str, Any] = json.loads(await patiently(lambda: self._store.get(key)))
                return document

        return list(await asyncio.gather(*(fetch(key) for key in result_keys)))

    async def _put(self, key: str, data: bytes, content_type: str) -> None:
        await patiently(lambda: self._store.put(key, data, content_type))


def _write(plan: dict[str, Any], results: Sequence[dict[str, Any]], work: AssembleWork) -> dict[str, tuple[bytes, str]]:
    transcript = assemble(plan, results, work.options)
    return {name: (write(transcript), content_type) for name, (write, content_type) in FORMATS.items()}
