"""Names of files that are sent to clients."""

import unicodedata
from urllib.parse import quote


def stem(name: str) -> str:
    """The name without its last extension."""
    front, dot, _ = name.rpartition(".")
    return front if dot and front else name


def content_disposition(kind: str, name: str) -> str:
    """A Content-Disposition header value by RFC 6266: an ASCII name for old clients, and the name in UTF-8."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = "".join("_" if mark in '"\\%' or not mark.isprintable() else mark for mark in plain).strip()
    front, dot, extension = plain.rpartition(".")
    fallback = plain if front.strip("._ ") else f"transcript{dot}{extension}"
    return f"{kind}; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"
