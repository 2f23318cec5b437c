"""What a language model is asked to say about a transcript: the form that its answer is held against."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class ActionItem(BaseModel):
    """Something that somebody said would be done."""

    model_config = ConfigDict(extra="ignore")

    task: Line = Field(description="What is to be done.")
    owner: Line | None = Field(default=None, description="Who does it, if the recording says so.")
    due: Line | None = Field(default=None, description="Until when, if the recording says so.")


class Sentiment(BaseModel):
    """The mood of the recording as a whole."""

    model_config = ConfigDict(extra="ignore")

    label: Literal["positive", "neutral", "negative", "mixed"]
    explanation: Line = Field(description="One sentence.")


class Insight(BaseModel):
    """Summary, topics, action items and sentiment of a transcript, as a language model sees them."""

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
