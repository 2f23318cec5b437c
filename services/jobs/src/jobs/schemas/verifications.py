"""HTTP bodies of verifications."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from jobs.tables import Verification

MOST: int = 20

Outcome = Literal["waiting", "matches", "differs", "altered", "gone", "not_checked"]
OUTCOMES: dict[Outcome, str] = {
    "waiting": "not decoded again yet",
    "matches": "decoded again, the result is identical, byte by byte",
    "differs": "decoded again, the result differs from the recorded one",
    "altered": "the stored result differs from the one recorded at transcription",
    "gone": "its audio or its result is not stored any more",
    "not_checked": "the workers failed, or no worker took it",
}

_EXAMPLE: dict[str, Any] = {
    "id": "7d0e9c5a-6e55-4b6f-8f53-0c5d2f6f3a10",
    "job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
    "attempt": 1,
    "seed": 7,
    "created_at": "2026-11-22T12:10:00Z",
    "finished_at": "2026-11-22T12:10:09Z",
    "verified": True,
    "checks": [
        {
            "chunk": 3,
            "outcome": "matches",
            "recorded_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "stored_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "decoded_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "worker": "transcriber-1",
            "engine": {"name": "ctranslate2", "version": "4.8.5", "model": "base"},
        }
    ],
}


VerificationId = Annotated[
    UUID, Path(description="The verification's id.", examples=["7d0e9c5a-6e55-4b6f-8f53-0c5d2f6f3a10"])
]


class Verify(BaseModel):
    """The choice of chunks to verify."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"chunks": 3, "seed": 7}]})

    chunks: int = Field(
        default=3, ge=1, le=MOST, description="Number of chunks, drawn at random; all if there are fewer."
    )
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="The same seed draws the same chunks. Default: a random seed."
    )


class Check(BaseModel):
    """The comparison of one chunk."""

    chunk: int
    outcome: Outcome = Field(description=" ".join(f"{name}: {meaning}." for name, meaning in OUTCOMES.items()))
    recorded_sha256: str = Field(description="Hash of the result at transcription.")
    stored_sha256: str | None = Field(description="Hash of the result that is stored now; null = none.")
    decoded_sha256: str | None = Field(description="Hash of the result of this decoding.")
    worker: str | None = Field(description="The worker that decoded it again.")
    engine: dict[str, str] | None = Field(description="The engine of that worker.")


class VerificationView(BaseModel):
    """A verification of a job's transcript."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: UUID
    job_id: UUID
    attempt: int = Field(description="The attempt that produced the transcript.")
    seed: int
    created_at: datetime
    finished_at: datetime | None = Field(description="null = it is running.")
    verified: bool | None = Field(description="Whether every check matches; null = it is running.")
    checks: list[Check] = Field(description="In the order in which the chunks were drawn.")

    @classmethod
    def of(cls, row: Verification) -> "VerificationView":
        """Return the view of a row."""
        checks = [Check.model_validate(check) for check in row.checks]
        return cls(
            id=row.id,
            job_id=row.job_id,
            attempt=row.attempt,
            seed=row.seed,
            created_at=row.created_at,
            finished_at=row.finished_at,
            verified=None if row.finished_at is None else all(check.outcome == "matches" for check in checks),
            checks=checks,
        )


class VerificationList(BaseModel):
    """A job's verifications, the newest first."""

    items: list[VerificationView]
