"""The provenance of a transcript: what it was made from, and which worker and engine did the work; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.events import AssembleWork
from transcriber.text.documents import JsonDocument


@dataclass(frozen=True)
class Evidence:
    """The inputs of an assembly: the plan, and the chunks' results in order."""

    plan: JsonDocument
    results: Sequence[JsonDocument]


def shared(work: AssembleWork, evidence: Evidence) -> dict[str, Any]:
    """Build the part in the transcript: the same for every run of a job, whichever worker did it."""
    plan = evidence.plan.content
    return {
        "source_sha256": work.source_sha256,
        "source": plan.get("source"),
        "decoder": plan.get("decoder"),
        "speech_detector": plan.get("detector"),
        "plan_sha256": evidence.plan.sha256,
        "result_sha256": [result.sha256 for result in evidence.results],
    }


def document(work: AssembleWork, evidence: Evidence, transcript_sha256: str) -> dict[str, Any]:
    """Build the whole provenance: the shared part, and for each chunk the attempt, the worker and the engine."""
    origins = {origin.chunk: origin for origin in work.origins}
    chunks = []
    for number, result in enumerate(evidence.results):
        origin = origins.get(number)
        chunks.append(
            {
                "chunk": number,
                "attempt": origin.attempt if origin else work.attempt,
                "worker": origin.worker if origin else None,
                "deliveries": origin.deliveries if origin else None,
                "result_sha256": result.sha256,
                "engine": result.content["engine"],
            }
        )
    part = shared(work, evidence)
    del part["result_sha256"]
    return {
        "version": 1,
        "job_id": str(work.job_id),
        "attempt": work.attempt,
        "transcript_sha256": transcript_sha256,
        **part,
        "options": work.options.model_dump(mode="json"),
        "chunks": chunks,
    }


def disputed(work: AssembleWork, evidence: Evidence) -> list[int]:
    """List the chunks whose stored result has another hash than its worker published."""
    found = {number: result.sha256 for number, result in enumerate(evidence.results)}
    return [origin.chunk for origin in work.origins if found.get(origin.chunk) != origin.result_sha256]
