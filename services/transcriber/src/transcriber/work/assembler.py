"""Assembly work: the plan and all results are read, the transcript is stored in every format."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final

import structlog

from common.events import AssembleWork, TranscriptReady, keys
from common.messaging import Broker
from transcriber import metrics
from transcriber.text.formats import FORMATS, canonical_json
from transcriber.text.transcript import assemble, count_words

from . import provenance
from .cancellations import Cancellations
from .provenance import Evidence, digest
from .retries import PATIENCE, patiently
from .store import RecentStore

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 8  # results fetched side by side


class Assembler:
    """Turns the results of an attempt into its transcript; repeating it stores the same bytes again."""

    def __init__(self, *, store: RecentStore, broker: Broker, cancellations: Cancellations) -> None:
        self._store = store
        self._broker = broker
        self._cancellations = cancellations

    async def assemble(self, work: AssembleWork) -> None:
        """Do the work and publish TranscriptReady; raises WorkCancelled, ObjectMissing, StoreUnavailable."""
        self._cancellations.check(work.job_id, work.attempt)
        plan = await patiently(lambda: self._store.recall(work.plan_key))
        stored = await self._results(work.result_keys)
        results = [json.loads(result) for result in stored]
        evidence = Evidence(json.loads(plan), digest(plan), results, [digest(result) for result in stored])
        engines = {json.dumps(result["engine"], sort_keys=True) for result in results}
        if len(engines) > 1:
            log.warning("chunks were decoded by different engines", engines=sorted(engines))
        if disputed := provenance.disputed(work, evidence):
            log.warning("results are not the ones that were announced", chunks=disputed)
        self._cancellations.check(work.job_id, work.attempt)
        files = await asyncio.to_thread(_write, evidence, work)
        transcript_sha256 = digest(files["json"][0])
        origin = canonical_json(provenance.document(work, evidence, transcript_sha256))
        await asyncio.gather(
            self._put(keys.provenance(work.job_id, work.attempt), origin, "application/json"),
            *(
                self._put(keys.transcript(work.job_id, work.attempt, name), data, content_type)
                for name, (data, content_type) in files.items()
            ),
        )
        transcript = json.loads(files["json"][0])
        event = TranscriptReady(
            job_id=work.job_id,
            attempt=work.attempt,
            formats=list(files),
            transcript_sha256=transcript_sha256,
            language=transcript["language"],
            duration_seconds=transcript["duration_seconds"],
            speech_seconds=transcript["speech_seconds"],
            segments=len(transcript["segments"]),
            words=count_words(results),
        )
        await self._broker.publish(event, patience=PATIENCE)
        metrics.TRANSCRIPTS.inc()
        log.info("transcript assembled", chunks=len(results), segments=event.segments, words=event.words)

    async def _results(self, result_keys: Sequence[str]) -> list[bytes]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def fetch(key: str) -> bytes:
            async with gate:
                return await patiently(lambda: self._store.recall(key))

        return list(await asyncio.gather(*(fetch(key) for key in result_keys)))

    async def _put(self, key: str, data: bytes, content_type: str) -> None:
        await patiently(lambda: self._store.put(key, data, content_type))


def _write(evidence: Evidence, work: AssembleWork) -> dict[str, tuple[bytes, str]]:
    transcript = assemble(evidence.plan, evidence.results, work.options)
    transcript["provenance"] = provenance.shared(work, evidence)
    return {name: (write(transcript), content_type) for name, (write, content_type) in FORMATS.items()}
