"""The part of a stored transcript that enrichment and analysis use."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metadata.errors import TranscriptUnreadable


class Segment(BaseModel):
    """A caption-sized piece of text; times in seconds of the recording."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: float
    end: float
    text: str
    language: str | None = None  # set for multilingual jobs


class Transcript(BaseModel):
    """The content of `transcript.json`; durations in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    language: str | None = None
    task: str = "transcribe"
    duration_seconds: float = Field(ge=0)
    speech_seconds: float = Field(ge=0)
    text: str
    segments: list[Segment]

    @property
    def text_language(self) -> str | None:
        """Language of the text: English for a translation."""
        return "en" if self.task == "translate" else self.language


def parse(data: bytes) -> Transcript:
    """Parse a transcript.json; raises TranscriptUnreadable, which is permanent."""
    try:
        return Transcript.model_validate_json(data)
    except ValidationError as error:
        # Pydantic quotes its input, which is private speech: report the places, never the values.
        places = sorted({".".join(map(str, issue["loc"])) or "document" for issue in error.errors(include_input=False)})
        raise TranscriptUnreadable(f"The stored transcript cannot be read (at {', '.join(places[:5])}).") from None
