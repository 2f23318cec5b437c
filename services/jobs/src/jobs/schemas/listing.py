"""What a listing of jobs can be asked for, and the positions in it that are handed out as cursors."""

import math
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from common.web import cursors
from common.web.moments import with_plus

from .states import State

SortKey = Literal["created_at", "finished_at", "duration"]
Order = Literal["asc", "desc"]

# Jobs that are counted when the total is asked for; counting on would cost more than it tells.
COUNTED = 1000

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _in_range(value: datetime) -> datetime:
    """A moment that the database can hold; without a time zone it is UTC."""
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("must lie between the years 1970 and 9000")
    return moment


def storable(value: str) -> str:
    """Return a text in Unicode's composed form (NFC); raises ValueError for what PostgreSQL cannot hold."""
    if "\x00" in value:
        raise ValueError("must not contain the character U+0000")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("must not contain half of a surrogate pair")
    return unicodedata.normalize("NFC", value)


def tidy_tag(value: str) -> str:
    """Return a tag as it is stored: composed, and with single spaces; raises ValueError for an empty one."""
    words = " ".join(storable(value).split())
    if not words:
        raise ValueError("must not be empty")
    return words


Words = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]
Moment = Annotated[datetime, BeforeValidator(with_plus), AfterValidator(_in_range)]


class ListQuery(BaseModel):
    """Which jobs, in which order, and how many."""

    model_config = ConfigDict(frozen=True)

    q: Words | None = Field(
        default=None,
        description="Any part of the file name or a tag, words of keywords and transcript (in the forms of their"
        ' language; any part in scripts without spaces), or the beginning of an id: words, "a phrase", or, -not.'
        " Case and accents do not matter unless you write them in a word that was spoken.",
        examples=['budget "next year" -draft'],
    )
    state: list[State] = Field(default=[], max_length=6, description="Only jobs in one of these states.")
    created_after: Moment | None = Field(default=None, description="Created at this moment or later.")
    created_before: Moment | None = Field(default=None, description="Created before this moment.")
    owner: Literal["all"] | UUID | None = Field(
        default=None, description="For administrators: somebody's jobs by user id, or all. Without it: your own."
    )
    model: Words | None = Field(default=None, examples=["base"])
    tag: Annotated[Words, AfterValidator(tidy_tag)] | None = Field(default=None, description="Only jobs with this tag.")
    sort: SortKey = Field(
        default="created_at",
        description="Jobs that are not finished count as the latest, an unknown duration as the shortest.",
    )
    order: Order = "desc"
    total: bool = Field(default=False, description=f"Count the jobs that fit as well, up to {COUNTED}.")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="The next_cursor of the page before.")


class Cursor(BaseModel):
    """A position in a listing, opaque to clients; it belongs to one order."""

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
        """Return the position in a string; raises InvalidCursor also when it belongs to another order."""
        match cursors.decode(text):
            case [wanted.sort, wanted.order, (str() | float()) as value, str(job_id)]:
                with cursors.checked():
                    return cls(sort=wanted.sort, order=wanted.order, value=_value(wanted.sort, value), id=UUID(job_id))
        raise cursors.InvalidCursor


def _value(sort: SortKey, value: str | float) -> datetime | float:
    """The value that the order goes by; raises ValueError or OverflowError for what no listing gave out."""
    if sort == "duration":
        if not isinstance(value, float) or not math.isfinite(value):
            raise ValueError("not a duration")
        return value
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None or moment.year == 1:
        raise ValueError("not a moment of a job")
    return moment.astimezone(UTC)
