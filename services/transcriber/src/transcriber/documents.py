"""How what we store is written: JSON whose bytes depend on its content alone."""

import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Write JSON with sorted keys, no spaces and a final newline, in UTF-8."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
