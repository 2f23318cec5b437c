"""The options of a job that a user may set."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST_TRACKS = 100  # of a media file that are listed and can be chosen


def _track(value: Any) -> Any:
    """Parse the number of a track, "mix" or None, also from a form; raises ValueError."""
    wanted = value.strip().lower() if isinstance(value, str) else value
    if isinstance(wanted, str) and wanted.isascii() and wanted.isdecimal():
        wanted = int(wanted[:9])  # longer numbers are out of range
    number = isinstance(wanted, int) and not isinstance(wanted, bool) and 1 <= wanted <= MOST_TRACKS
    if wanted is None or wanted == "mix" or number:
        return wanted
    raise ValueError("must be the number of an audio track, counted from 1, or mix for all tracks together")


TrackChoice = Annotated[Annotated[int, Field(ge=1, le=MOST_TRACKS)] | Literal["mix"], BeforeValidator(_track)]


class JobOptions(BaseModel):
    """The options of a job; together with the audio and the model's digest they determine the transcript."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    # The model's name becomes part of a queue name, hence the narrow alphabet.
    model: str = Field(default="base", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    language: str | None = Field(default=None, description="ISO code; null = detect")
    task: Literal["transcribe", "translate"] = "transcribe"
    word_timestamps: bool = False
    initial_prompt: str | None = None
    hotwords: str | None = Field(default=None, max_length=1000, description="Names and terms to expect.")
    multilingual: bool = Field(
        default=False, description="Detect the language of every window of up to 30 s, instead of once for the job."
    )
    track: TrackChoice | None = Field(
        default=None,
        description="The audio track to transcribe, counted from 1, or mix for all of them together; null = the file's "
        "default track if there is speech on it, else the first with speech.",
    )
