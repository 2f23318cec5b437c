"""Log records with their numbers in the archive, broadcast to every gateway."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ArchivedRecord:
    """An archived record: its number, its job, and the record as JSON with the number as `cursor`."""

    cursor: int
    job_id: str | None
    text: str

    @classmethod
    def of(cls, cursor: int, job_id: str | None, record: dict[str, Any]) -> Self:
        """Build from a record, which is serialised once."""
        text = json.dumps({"cursor": cursor} | record, ensure_ascii=False, separators=(",", ":"))
        return cls(cursor, job_id, text)


@dataclass(frozen=True, slots=True)
class ArchivedBatch:
    """The records that the archive stored in one transaction, with the numbers `previous` < n <= `upto`.

    A viewer that has the records up to `previous` has missed none; others read the archive. Records that are not for
    viewers are missing; a batch without records only reports `upto`.
    """

    previous: int
    upto: int
    lines: Sequence[ArchivedRecord] = ()

    def body(self) -> bytes:
        """Serialise for the broker."""
        lines = [[line.cursor, line.job_id, line.text] for line in self.lines]
        return json.dumps({"previous": self.previous, "upto": self.upto, "lines": lines}, ensure_ascii=False).encode()

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parse a message's body; raises ValueError."""
        try:
            content = json.loads(body)
            lines = tuple(ArchivedRecord(int(cursor), job, str(text)) for cursor, job, text in content["lines"])
            return cls(int(content["previous"]), int(content["upto"]), lines)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a batch of archived log records: {error}") from error
