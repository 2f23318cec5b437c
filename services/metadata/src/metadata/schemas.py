"""Bodies of requests and responses, and the stored metadata.json."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_EXAMPLE_ANALYSIS: dict[str, Any] = {
    "state": "done",
    "machine_made": True,
    "model": "gpt-4o-mini",
    "prompt_version": "1",
    "parts": 1,
    "requested_at": "2026-11-22T15:04:05Z",
    "finished_at": "2026-11-22T15:04:19Z",
    "reason_code": None,
    "reason": None,
    "insight": {
        "summary": "The harbour board discusses the new pier and agrees to ask for a second offer.",
        "topics": ["new pier", "budget"],
        "action_items": [{"task": "Ask for a second offer", "owner": "Ann", "due": "Friday"}],
        "sentiment": {"label": "neutral", "explanation": "The discussion is factual throughout."},
    },
}
_EXAMPLE: dict[str, Any] = {
    "job_id": "7f4de7f6-6d3c-4a43-9df5-3c8b4a4a8f10",
    "created_at": "2026-11-22T15:01:12Z",
    "language": "en",
    "languages": ["en"],
    "language_seconds": {"en": 1488.1},
    "duration_seconds": 1804.2,
    "speech_seconds": 1512.8,
    "speech_ratio": 0.8385,
    "segments": 412,
    "words": 4021,
    "words_per_minute": 159.5,
    "keywords": [{"keyword": "new pier", "score": 1.0}, {"keyword": "harbour", "score": 0.71}],
    "summary": [{"start": 12.4, "text": "We have to decide about the new pier before the winter."}],
    "analysis": _EXAMPLE_ANALYSIS,
}


class Keyword(BaseModel):
    """A word or two from the transcript."""

    model_config = ConfigDict(from_attributes=True)

    keyword: str
    score: float = Field(description="Relevance relative to the best keyword of this transcript, which has 1.")


class Quote(BaseModel):
    """A sentence of the transcript."""

    model_config = ConfigDict(from_attributes=True)

    start: float = Field(description="Start of its segment in seconds of the recording.")
    text: str


class Enriched(BaseModel):
    """The content of metadata.json, which depends on the transcript alone."""

    model_config = ConfigDict(from_attributes=True)

    language: str | None = Field(description="ISO code of the language spoken; null if the recording has no speech.")
    languages: list[str] = Field(
        description="ISO codes of all languages spoken, the most spoken first: several with `multilingual`, else one."
    )
    language_seconds: dict[str, float] | None = Field(
        default=None,
        description="Seconds of the segments in each language; null where the metadata is older than this measurement.",
    )
    duration_seconds: float
    speech_seconds: float = Field(description="Seconds of speech.")
    speech_ratio: float = Field(description="Share of speech in the recording, 0 to 1.")
    segments: int
    words: int = Field(description="Words; in Chinese and Japanese every character counts.")
    words_per_minute: float = Field(description="Words per minute of speech, without pauses.")
    keywords: list[Keyword] = Field(
        description="Best first; empty if the text is too short or its script is not supported."
    )
    summary: list[Quote] = Field(
        description="The most central sentences in the order of the recording; selected without a language model."
    )


Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class ActionItem(BaseModel):
    """A task that was agreed in the recording."""

    model_config = ConfigDict(extra="ignore")

    task: Line = Field(description="What to do.")
    owner: Line | None = Field(default=None, description="Who does it, if the recording says so.")
    due: Line | None = Field(default=None, description="The due date, if the recording says so.")


class Sentiment(BaseModel):
    """The mood of the recording as a whole."""

    model_config = ConfigDict(extra="ignore")

    label: Literal["positive", "neutral", "negative", "mixed"]
    explanation: Line = Field(description="One sentence.")


class Insight(BaseModel):
    """Summary, topics, action items and sentiment of a transcript, written by a language model."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "summary": "The harbour board discusses the new pier and agrees to ask for a second offer.",
                    "topics": ["new pier", "budget"],
                    "action_items": [{"task": "Ask for a second offer", "owner": "Ann", "due": "Friday"}],
                    "sentiment": {"label": "neutral", "explanation": "The discussion is factual throughout."},
                }
            ]
        },
    )

    summary: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=3000)]
    topics: list[Line] = Field(max_length=20, description="The main subjects, most important first.")
    action_items: list[ActionItem] = Field(max_length=40, description="Empty if nothing was agreed.")
    sentiment: Sentiment


class AnalysisState(BaseModel):
    """The analysis of a transcript by a language model, and its state."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE_ANALYSIS]})

    state: Literal["pending", "done", "failed"]
    machine_made: Literal[True] = Field(default=True, description="A machine wrote this; it may be wrong.")
    model: str | None = Field(
        description="Name of the language model, as its server reports it; null before its response."
    )
    prompt_version: str | None = Field(description="Version of the prompts.")
    parts: int | None = Field(
        description="Number of parts in which the transcript was sent; several parts lose some context."
    )
    requested_at: datetime = Field(validation_alias="created_at")
    finished_at: datetime | None
    reason_code: str | None = Field(
        description="Why it failed: analysis_refused, answer_not_usable, model_unavailable, nothing_said, "
        "request_not_accepted, transcript_too_long, transcript_unreadable, not_configured or internal_error."
    )
    reason: str | None = Field(description="Why it failed, or why it is repeated, in a sentence.")
    insight: Insight | None


class Metadata(Enriched):
    """The metadata of one job's transcript."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

    job_id: UUID
    created_at: datetime = Field(description="Time at which the metadata was finished.", validation_alias="finished_at")
    analysis: AnalysisState | None = Field(
        default=None, description="Null until POST /jobs/{job_id}/analyze requests it."
    )
