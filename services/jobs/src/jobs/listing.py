"""What a listing of jobs can be asked for, and the positions in it that are handed out as cursors."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .errors import InvalidCursor
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
    """Raise ValueError for what PostgreSQL cannot hold in a text."""
    if "\x00" in value:
        raise ValueError("must not contain the character U+0000")
    return value


Words = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]
Moment = Annotated[datetime, AfterValidator(_in_range)]


class ListQuery(BaseModel):
    """Which jobs, in which order, and how many."""

    model_config = ConfigDict(frozen=True)

    q: Words | None = Field(
        default=None,
        description='Full text over file name, tags, keywords and transcript, or the beginning of an id: words, "a'
        ' phrase", or, -not.',
        examples=['budget "next year" -draft'],
    )
    state: list[State] = Field(default=[], max_length=6, description="Only jobs in one of these states.")
    created_after: Moment | None = Field(default=None, description="Created at this moment or later.")
    created_before: Moment | None = Field(default=None, description="Created before this moment.")
    owner: Literal["all"] | UUID | None = Field(
        default=None, description="For administrators: somebody's jobs by user id, or all. Without it: your own."
    )
    model: Words | None = Field(default=None, examples=["base"])
    tag: Words | None = Field(default=None, description="Only jobs with this tag.")
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
        document = json.dumps([self.sort, self.order, value, str(self.id)], separators=(",", ":"))
        return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, wanted: ListQuery) -> "Cursor":
        """Return the position in a string; raises InvalidCursor also when it belongs to another order."""
        try:
            padded = text + "=" * (-len(text) % 4)
            sort, order, value, job_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            if (sort, order) != (wanted.sort, wanted.order):
                raise ValueError("another order")
            return cls(sort=sort, order=order, value=_value(sort, value), id=UUID(job_id))
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise InvalidCursor("the cursor is not one that this listing gave out") from error


def _value(sort: SortKey, value: Any) -> datetime | float:
    if sort == "duration":
        return float(value)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None or not 1 < moment.year <= 9999:
        raise ValueError("no moment of ours")
    return moment
