"""Verify work: a chunk is transcribed once more, and the two results are compared by their hashes."""

import structlog

from common.events import ChunkVerified, ChunkWork, VerifyWork
from common.messaging import Broker
from common.storage import ObjectMissing, ObjectStore
from transcriber.engines.base import LanguageUnsupported

from .provenance import digest
from .retries import PATIENCE, patiently
from .transcriber import Transcriber

log = structlog.get_logger(__name__)


class Verifier:
    """Repeats what the transcriber did, and stores nothing."""

    def __init__(self, *, store: ObjectStore, broker: Broker, transcriber: Transcriber, worker: str) -> None:
        self._store = store
        self._broker = broker
        self._transcriber = transcriber
        self._worker = worker

    async def verify(self, work: VerifyWork, *, delivery: int = 1) -> None:
        """Do the work and publish ChunkVerified; raises whatever may be gone when the work is tried again."""
        chunk = ChunkWork(
            job_id=work.job_id, attempt=work.attempt, chunk=work.chunk, language=work.language, options=work.options
        )
        stored = await self._stored(work.result_key)
        try:
            again, engine = await self._transcriber.repeat(chunk, key=work.key, delivery=delivery)
        except (ObjectMissing, LanguageUnsupported) as error:
            log.warning("chunk cannot be verified", chunk=work.chunk, error=str(error))
            again, engine = None, None
        event = ChunkVerified(
            job_id=work.job_id,
            attempt=work.attempt,
            chunk=work.chunk,
            verification=work.verification,
            stored_sha256=stored,
            decoded_sha256=None if again is None else digest(again),
            worker=self._worker,
            engine=engine,
        )
        await self._broker.publish(event, patience=PATIENCE)
        log.info("chunk verified", chunk=work.chunk, same=event.stored_sha256 == event.decoded_sha256)

    async def _stored(self, key: str) -> str | None:
        try:
            return digest(await patiently(lambda: self._store.get(key)))
        except ObjectMissing:
            return None
