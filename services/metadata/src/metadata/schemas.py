"""HTTP bodies and the stored metadata.json."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Keyword(BaseModel):
    """A word or two from the transcript."""

    model_config = ConfigDict(from_attributes=True)

    keyword: str
    score: float = Field(description="Relevance relative to the best keyword of this transcript, which has 1.")


class Enriched(BaseModel):
    """What is known about a transcript: the content of metadata.json, a function of the transcript alone."""

    model_config = ConfigDict(from_attributes=True)

    language: str | None = Field(description="ISO code of the language spoken; null if the recording has no speech.")
    duration_seconds: float
    speech_seconds: float = Field(description="Seconds in which somebody speaks.")
    speech_ratio: float = Field(description="Share of the recording in which somebody speaks, 0 to 1.")
    segments: int
    words: int = Field(description="Words said; in Chinese and Japanese every character counts.")
    words_per_minute: float = Field(description="Words per minute of speech, pauses left out.")
    keywords: list[Keyword] = Field(description="Best first; empty where the text or its script gives none.")


class Metadata(Enriched):
    """The metadata of one job's transcript."""

    job_id: UUID
    created_at: datetime = Field(description="When the metadata was finished.", validation_alias="finished_at")
