"""The parameters of a listing of jobs, and its cursors."""

import math
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from common.web import cursors
from common.web.timestamps import restore_plus
from jobs.states import State

SortKey = Literal["created_at", "finished_at", "duration"]
Order = Literal["asc", "desc"]

# The highest total that is counted; a larger number would cost more than it is worth.
COUNTED = 1000

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _in_range(value: datetime) -> datetime:
    """Return a time that the database can store; without a time zone it is UTC."""
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("must lie between the years 1970 and 9000")
    return moment


def normalized_text(value: str) -> str:
    """Return text in Unicode's composed form (NFC); raises ValueError for characters that PostgreSQL cannot store."""
    if "\x00" in value:
        raise ValueError("must not contain the character U+0000")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("must not contain an unpaired surrogate")
    return unicodedata.normalize("NFC", value)


def normalized_tag(value: str) -> str:
    """Return a tag in its stored form: composed, with single spaces; raises ValueError for an empty tag."""
    words = " ".join(normalized_text(value).split())
    if not words:
        raise ValueError("must not be empty")
    return words


Words = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(normalized_text)]
Moment = Annotated[datetime, BeforeValidator(restore_plus), AfterValidator(_in_range)]


class ListQuery(BaseModel):
    """Filters, order and size of a page."""

    model_config = ConfigDict(frozen=True)

    q: Words | None = Field(
        default=None,
        description="Searches any part of the file name and tags, words of the keywords and the transcript (with the"
        " inflections of their language; any part in scripts without spaces), and the beginning of an id. Syntax:"
        ' words, "a phrase", or, -not. Case and accents are ignored, unless a transcript word is written with them.',
        examples=['budget "next year" -draft'],
    )
    state: list[State] = Field(default=[], max_length=6, description="Only jobs in one of these states.")
    created_after: Moment | None = Field(default=None, description="Created at this time or later.")
    created_before: Moment | None = Field(default=None, description="Created before this time.")
    owner: Literal["all"] | UUID | None = Field(
        default=None, description="For administrators: the user id of the owner, or all. Default: your own jobs."
    )
    model: Words | None = Field(default=None, examples=["base"])
    tag: Annotated[Words, AfterValidator(normalized_tag)] | None = Field(
        default=None, description="Only jobs with this tag."
    )
    sort: SortKey = Field(
        default="created_at",
        description="Unfinished jobs sort as the latest, an unknown duration as the shortest.",
    )
    order: Order = "desc"
    total: bool = Field(default=False, description=f"Also count the matching jobs, up to {COUNTED}.")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="next_cursor of the previous page.")


class Cursor(BaseModel):
    """A position in a listing, opaque to clients; it is valid for one order."""

    model_config = ConfigDict(frozen=True)

    sort: SortKey
    order: Order
    value: datetime | float
    id: UUID

    def encode(self) -> str:
        """Return the position as a URL-safe string."""
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        return cursors.encode([self.sort, self.order, value, str(self.id)])

    @classmethod
    def decode(cls, text: str, wanted: ListQuery) -> "Cursor":
        """Return the position in a string; raises InvalidCursor, also for another order."""
        match cursors.decode(text):
            case [wanted.sort, wanted.order, (str() | float()) as value, str(job_id)]:
                with cursors.checked():
                    return cls(sort=wanted.sort, order=wanted.order, value=_value(wanted.sort, value), id=UUID(job_id))
        raise cursors.InvalidCursor


def _value(sort: SortKey, value: str | float) -> datetime | float:
    """Return the sort value; raises ValueError or OverflowError for values that no listing produces."""
    if sort == "duration":
        if not isinstance(value, float) or not math.isfinite(value):
            raise ValueError("not a duration")
        return value
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None or moment.year == 1:
        raise ValueError("not a time of a job")
    return moment.astimezone(UTC)
