"""Provenance beside the transcript, and the verification of its chunks, through a real broker and store."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.events import AudioPlanned, ChunkPlanned, ChunkTranscribed, ChunkVerified, TranscriptReady, VerifyWork, keys
from common.testing import eventually

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("transcriber")]

RATE = 16_000


def verify_work(work: Any, chunk: ChunkTranscribed) -> VerifyWork:
    return VerifyWork(
        verification=uuid4(),
        job_id=work.job_id,
        attempt=1,
        chunk=chunk.chunk,
        result_key=chunk.result_key,
        language="en",
        options=work.options,
    )


async def test_provenance_is_in_the_transcript_and_in_full_beside_it(jobs: Any, studio: Any, speech: Any) -> None:
    work = await jobs.upload(studio.record("talk.wav", speech))
    await jobs.transcribe(work)
    (ready,) = jobs.events_of(work.job_id, TranscriptReady)
    (planned,) = jobs.events_of(work.job_id, AudioPlanned)
    results = {event.chunk: event for event in jobs.events_of(work.job_id, ChunkTranscribed)}
    assert planned.cpu_seconds > 0
    transcript = await jobs.document(keys.transcript(work.job_id, 1, "json"))
    record = await jobs.document(keys.provenance(work.job_id, 1))
    for document in (transcript["provenance"], record):
        assert document["plan_sha256"] == hashlib.sha256(await jobs.store.get(planned.plan_key)).hexdigest()
        assert {"pyav", "libavcodec", "libavformat"} <= set(document["decoder"])
        assert document["source"]["codec"] == "pcm_s16le"
    assert transcript["provenance"]["result_sha256"] == [event.result_sha256 for _, event in sorted(results.items())]
    assert (record["transcript_sha256"], record["attempt"]) == (ready.transcript_sha256, 1)
    assert [chunk["result_sha256"] for chunk in record["chunks"]] == transcript["provenance"]["result_sha256"]
    assert {chunk["engine"]["name"] for chunk in record["chunks"]} == {"canned"}


async def test_a_chunk_is_verified_by_decoding_it_again_without_storing(jobs: Any, studio: Any, speech: Any) -> None:
    work = await jobs.upload(studio.record("talk.wav", speech[: 10 * RATE]))
    await jobs.transcribe(work)
    (done,) = jobs.events_of(work.job_id, ChunkTranscribed)

    async def verified() -> ChunkVerified:
        again = verify_work(work, done)
        await jobs.broker.publish(again)
        found: list[ChunkVerified] = await eventually(
            lambda: [
                each for each in jobs.events_of(work.job_id, ChunkVerified) if each.verification == again.verification
            ]
        )
        return found[0]

    first, second = await verified(), await verified()
    assert first.stored_sha256 == first.decoded_sha256 == done.result_sha256
    assert first.event_id != second.event_id, "each verification is a fact of its own"

    await jobs.store.put(done.result_key, b"{}")
    altered = await verified()
    assert (altered.stored_sha256, altered.decoded_sha256) == (hashlib.sha256(b"{}").hexdigest(), done.result_sha256)
    assert await jobs.store.get(done.result_key) == b"{}"

    (planned,) = jobs.events_of(work.job_id, ChunkPlanned)
    await jobs.store.delete(keys.chunk_audio(work.job_id, 1, planned.chunk))
    assert (await verified()).decoded_sha256 is None
    assert jobs.dead == []


async def test_small_chunks_of_several_jobs_give_the_same_results_as_alone(jobs: Any, studio: Any, speech: Any) -> None:
    path = studio.record("short.wav", speech[: 8 * RATE])

    def result(job: UUID) -> list[str]:
        return [event.result_sha256 for event in jobs.events_of(job, ChunkTranscribed)]

    alone = await jobs.upload(path)
    await jobs.transcribe(alone)
    together = [await jobs.upload(path) for _ in range(4)]
    for work in together:
        await jobs.plan(work)
    for work in together:
        (planned,) = jobs.events_of(work.job_id, ChunkPlanned)
        await jobs.broker.publish(jobs.chunk_work(work, planned).model_copy(update={"windows": 1}))
    await eventually(lambda: all(result(work.job_id) for work in together))
    assert {sha for work in together for sha in result(work.job_id)} == set(result(alone.job_id))
