"""JSON documents as they are stored: content, bytes and hash travel together."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self


def canonical_json(value: Any) -> bytes:
    """Write JSON with sorted keys, no spaces and a final newline, in UTF-8: its bytes depend on the content alone."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def digest(data: bytes) -> str:
    """Return the SHA-256 by which provenance names an object."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class JsonDocument:
    """A document and the bytes under its key in the object store."""

    content: dict[str, Any]
    data: bytes

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """Serialise a new document."""
        return cls(content, canonical_json(content))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a stored document."""
        return cls(json.loads(data), data)

    @cached_property
    def sha256(self) -> str:
        """The hash of the bytes."""
        return digest(self.data)
