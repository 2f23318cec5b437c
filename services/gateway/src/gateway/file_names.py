"""File names: what a client calls a recording, made safe to show and to send back; never a path or a key."""

import unicodedata
from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import quote

MAX_LENGTH = 200
UNNAMED = "recording"

# These reorder or hide what stands around them, so that a name can pass for another one. The joiners (U+200C, U+200D)
# stay: Persian, Hindi and emoji need them.
_DECEPTIVE = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B, 0x200E, 0x200F, 0x061C, 0xFEFF}


def display_name(raw: str) -> str:
    """The name without path, control and direction characters, at most 200 characters with its extension kept."""
    name = raw.replace("\\", "/").rsplit("/", 1)[-1]
    name = unicodedata.normalize("NFC", name)
    name = "".join(mark for mark in name if not _unprintable(mark))
    name = " ".join(name.split())
    if not name.strip("."):
        return UNNAMED
    stem, dot, extension = name.rpartition(".")
    if len(name) > MAX_LENGTH and dot and len(extension) <= 16:
        return stem[: MAX_LENGTH - len(extension) - 1] + "." + extension
    return name[:MAX_LENGTH]


def _unprintable(mark: str) -> bool:
    # Cc control, Cs lone surrogate, Co private use, Zl and Zp line and paragraph separators.
    return ord(mark) in _DECEPTIVE or (
        unicodedata.category(mark) in {"Cc", "Cs", "Co", "Zl", "Zp"} and mark not in "\t\n"
    )


def stem(name: str) -> str:
    """The name without its last extension."""
    front, dot, _ = name.rpartition(".")
    return front if dot and front else name


def disposition_parameters(header: bytes) -> tuple[str | None, str | None]:
    """Field name and file name of a part's Content-Disposition; None for what is missing.

    The plain `filename` wins over RFC 5987's `filename*`, which RFC 7578 forbids here but older clients send alone.
    """
    message = Message()
    message["content-disposition"] = header.decode("utf-8", "replace")
    found: dict[str, str] = {}
    for name, value in message.get_params(header="content-disposition") or []:
        found.setdefault(name.lower(), collapse_rfc2231_value(value))
    file_name = found.get("filename")
    # The one escape that browsers use inside the quotes (HTML, "multipart/form-data encoding algorithm").
    return found.get("name"), file_name.replace("%22", '"') if file_name is not None else None


def content_disposition(kind: str, name: str) -> str:
    """A Content-Disposition header value by RFC 6266: an ASCII name for old clients, the true one in UTF-8."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = "".join("_" if mark in '"\\%' or not mark.isprintable() else mark for mark in plain).strip()
    front, dot, extension = plain.rpartition(".")
    fallback = plain if front.strip("._ ") else f"transcript{dot}{extension}"
    return f"{kind}; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"
