"""What a transcript was made of: as part of it what every run of the job shares, and beside it who did what; pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.events import AssembleWork


@dataclass(frozen=True)
class Evidence:
    """What was read for the assembly: the plan, and the chunks' results in order, as documents and as hashes."""

    plan: dict[str, Any]
    plan_sha256: str
    results: Sequence[dict[str, Any]]
    result_sha256: Sequence[str]


def digest(stored: bytes) -> str:
    """The hash by which provenance names an object."""
    return hashlib.sha256(stored).hexdigest()


def shared(work: AssembleWork, evidence: Evidence) -> dict[str, Any]:
    """The part that the transcript holds: the same for every run of the same job, whoever did the work."""
    plan = evidence.plan
    return {
        "source_sha256": work.source_sha256,
        "source": plan.get("source"),
        "decoder": plan.get("decoder"),
        "speech_detector": plan.get("detector"),
        "plan_sha256": evidence.plan_sha256,
        "result_sha256": list(evidence.result_sha256),
    }


def document(work: AssembleWork, evidence: Evidence, transcript_sha256: str) -> dict[str, Any]:
    """The whole of it: the shared part, and for each chunk the attempt, the worker and the engine."""
    origins = {origin.chunk: origin for origin in work.origins}
    chunks = []
    for number, (result, found) in enumerate(zip(evidence.results, evidence.result_sha256, strict=True)):
        origin = origins.get(number)
        chunks.append(
            {
                "chunk": number,
                "attempt": origin.attempt if origin else work.attempt,
                "worker": origin.worker if origin else None,
                "deliveries": origin.deliveries if origin else None,
                "result_sha256": found,
                "engine": result["engine"],
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
    """Chunks whose stored result is not the one that its worker announced."""
    found = dict(enumerate(evidence.result_sha256))
    return [origin.chunk for origin in work.origins if found.get(origin.chunk) != origin.result_sha256]
