"""What a person may choose about a job."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
        default=False, description="Hear the language of every window of up to 30 s, instead of once for the job."
    )
