"""Log lines as the archive numbered them, broadcast to every gateway."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ArchivedLine:
    """A line's number in the archive, the job it belongs to, and the record as JSON with the number as `cursor`."""

    cursor: int
    job_id: str | None
    text: str

    @classmethod
    def of(cls, cursor: int, job_id: str | None, record: dict[str, Any]) -> Self:
        """The line of a record."""
        text = json.dumps({"cursor": cursor} | record, ensure_ascii=False, separators=(",", ":"))
        return cls(cursor, job_id, text)


@dataclass(frozen=True, slots=True)
class ArchivedLines:
    """What the archive took in at once: all lines that may be watched among its numbers `previous` < n <= `upto`.

    Who has seen everything up to `previous` has missed nothing; anybody else asks the archive. Without lines it only
    says how far the archive is.
    """

    previous: int
    upto: int
    lines: Sequence[ArchivedLine] = ()

    def body(self) -> bytes:
        """The message's body."""
        lines = [[line.cursor, line.job_id, line.text] for line in self.lines]
        return json.dumps({"previous": self.previous, "upto": self.upto, "lines": lines}, ensure_ascii=False).encode()

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """A message's content; raises ValueError."""
        try:
            said = json.loads(body)
            lines = tuple(ArchivedLine(int(cursor), job, str(text)) for cursor, job, text in said["lines"])
            return cls(int(said["previous"]), int(said["upto"]), lines)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a batch of archived log lines: {error}") from error
