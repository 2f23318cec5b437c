"""Facts that the metadata service tells about a finished transcript."""

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
    """The transcript cannot be enriched; the transcript itself is untouched."""

    routing_key = "metadata.failed.v1"
    job_id: UUID
    attempt: int
    reason: str
