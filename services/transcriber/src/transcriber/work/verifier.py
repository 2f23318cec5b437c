"""Verify work: decode a chunk again and compare the hashes of the two results."""

import structlog

from common.events import ChunkVerified, ChunkWork, VerifyWork
from common.messaging import Broker
from common.storage import ObjectMissing, ObjectStore
from transcriber.engines.base import LanguageUnsupported
from transcriber.text.documents import digest

from .retries import RETRY_SECONDS, retry
from .transcriber import Transcriber

log = structlog.get_logger(__name__)


class Verifier:
    """Repeats the transcription of a chunk without storing the result."""

    def __init__(self, *, store: ObjectStore, broker: Broker, transcriber: Transcriber, worker: str) -> None:
        self._store = store
        self._broker = broker
        self._transcriber = transcriber
        self._worker = worker

    async def verify(self, work: VerifyWork, *, delivery: int = 1) -> None:
        """Do the work and publish ChunkVerified; raises what `Transcriber.transcribe` raises."""
        chunk = ChunkWork(
            job_id=work.job_id, attempt=work.attempt, chunk=work.chunk, language=work.language, options=work.options
        )
        stored = await self._stored_sha256(work.result_key)
        try:
            repeated = await self._transcriber.repeat(chunk, key=work.key, delivery=delivery)
        except (ObjectMissing, LanguageUnsupported) as error:
            log.warning("chunk cannot be verified", chunk=work.chunk, error=str(error))
            repeated = None
        event = ChunkVerified(
            job_id=work.job_id,
            attempt=work.attempt,
            chunk=work.chunk,
            verification=work.verification,
            stored_sha256=stored,
            decoded_sha256=repeated.sha256 if repeated else None,
            worker=self._worker,
            engine=repeated.content["engine"] if repeated else None,
        )
        await self._broker.publish(event, retry_seconds=RETRY_SECONDS)
        log.info("chunk verified", chunk=work.chunk, same=event.stored_sha256 == event.decoded_sha256)

    async def _stored_sha256(self, key: str) -> str | None:
        try:
            return digest(await retry(lambda: self._store.get(key)))
        except ObjectMissing:
            return None
