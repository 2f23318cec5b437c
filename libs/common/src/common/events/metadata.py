"""Events of the metadata service about the enrichment of a transcript."""

from uuid import UUID

from pydantic import Field

from .base import Event


class MetadataEnriched(Event):
    """The transcript's metadata is stored."""

    routing_key = "metadata.enriched.v1"
    job_id: UUID
    attempt: int
    metadata_key: str
    keywords: list[str] = Field(default_factory=list)


class MetadataFailed(Event):
    """The enrichment of the transcript failed; the transcript is not changed."""

    routing_key = "metadata.failed.v1"
    job_id: UUID
    attempt: int
    reason: str
