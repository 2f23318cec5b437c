"""The part of a stored transcript that enrichment reads."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import TranscriptUnreadable


class Segment(BaseModel):
    """A caption-sized piece of text; times in seconds of the recording."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: float
    end: float
    text: str
    language: str | None = None  # where a recording may change its language


class Transcript(BaseModel):
    """A finished transcript as `transcript.json` holds it; durations in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    language: str | None = None
    task: str = "transcribe"
    duration_seconds: float = Field(ge=0)
    speech_seconds: float = Field(ge=0)
    text: str
    segments: list[Segment]

    @property
    def text_language(self) -> str | None:
        """Language of the text itself: a translation is English whatever was spoken."""
        return "en" if self.task == "translate" else self.language


def parse(data: bytes) -> Transcript:
    """Read the bytes of a transcript.json; raises TranscriptUnreadable, which no retry will cure."""
    try:
        return Transcript.model_validate_json(data)
    except ValidationError as error:
        # Pydantic quotes its input, and the input is somebody's speech: say where it is wrong, never what it says.
        places = sorted({".".join(map(str, issue["loc"])) or "document" for issue in error.errors(include_input=False)})
        raise TranscriptUnreadable(f"The stored transcript cannot be read (at {', '.join(places[:5])}).") from None
