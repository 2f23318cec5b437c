"""Assemble work: read the plan and all results, store the transcript in every format."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

import structlog

from common.events import AssembleWork, TranscriptReady, keys
from common.messaging import Broker
from transcriber import metrics
from transcriber.text.documents import JsonDocument, canonical_json, digest
from transcriber.text.formats import FORMATS
from transcriber.text.transcript import assemble, count_words

from . import provenance
from .cancellations import Cancellations
from .provenance import Evidence
from .retries import RETRY_SECONDS, retry
from .store import CachingStore

log = structlog.get_logger(__name__)

_CONCURRENCY: Final = 8  # results fetched at the same time


class Assembler:
    """Turns the results of an attempt into its transcript; repeating it stores the same bytes again."""

    def __init__(self, *, store: CachingStore, broker: Broker, cancellations: Cancellations) -> None:
        self._store = store
        self._broker = broker
        self._cancellations = cancellations

    async def assemble(self, work: AssembleWork) -> None:
        """Do the work and publish TranscriptReady; raises WorkCancelled, ObjectMissing, StoreUnavailable."""
        self._cancellations.check(work.job_id, work.attempt)
        [plan] = await self._documents([work.plan_key])
        evidence = Evidence(plan, await self._documents(work.result_keys))
        engines = {json.dumps(result.content["engine"], sort_keys=True) for result in evidence.results}
        if len(engines) > 1:
            log.warning("chunks decoded by different engines", engines=sorted(engines))
        if disputed := provenance.disputed(work, evidence):
            log.warning("stored results differ from the published hashes", chunks=disputed)
        self._cancellations.check(work.job_id, work.attempt)
        transcript, files = await asyncio.to_thread(_write, evidence, work)
        transcript_sha256 = digest(files["json"][0])
        origin = canonical_json(provenance.document(work, evidence, transcript_sha256))
        await asyncio.gather(
            self._put(keys.provenance(work.job_id, work.attempt), origin, "application/json"),
            *(
                self._put(keys.transcript(work.job_id, work.attempt, name), data, content_type)
                for name, (data, content_type) in files.items()
            ),
        )
        event = TranscriptReady(
            job_id=work.job_id,
            attempt=work.attempt,
            formats=list(files),
            transcript_sha256=transcript_sha256,
            language=transcript["language"],
            duration_seconds=transcript["duration_seconds"],
            speech_seconds=transcript["speech_seconds"],
            segments=len(transcript["segments"]),
            words=count_words(result.content for result in evidence.results),
        )
        await self._broker.publish(event, retry_seconds=RETRY_SECONDS)
        metrics.TRANSCRIPTS.inc()
        log.info("transcript assembled", chunks=len(evidence.results), segments=event.segments, words=event.words)

    async def _documents(self, document_keys: Sequence[str]) -> list[JsonDocument]:
        limit = asyncio.Semaphore(_CONCURRENCY)

        async def fetch(key: str) -> JsonDocument:
            async with limit:
                return JsonDocument.parse(await retry(lambda: self._store.get_cached(key)))

        return list(await asyncio.gather(*(fetch(key) for key in document_keys)))

    async def _put(self, key: str, data: bytes, content_type: str) -> None:
        await retry(lambda: self._store.put(key, data, content_type))


def _write(evidence: Evidence, work: AssembleWork) -> tuple[dict[str, Any], dict[str, tuple[bytes, str]]]:
    """Return the transcript, and for each format its bytes and content type."""
    transcript = assemble(evidence.plan.content, [result.content for result in evidence.results], work.options)
    transcript["provenance"] = provenance.shared(work, evidence)
    return transcript, {name: (write(transcript), content_type) for name, (write, content_type) in FORMATS.items()}
