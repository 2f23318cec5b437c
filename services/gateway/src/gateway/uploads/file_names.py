"""File names of recordings, made safe for display; they are never used as paths or keys."""

import binascii
import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import count
from urllib.parse import quote, unquote_to_bytes

MAX_LENGTH = 200
UNNAMED = "recording"

# Characters that reorder or hide others, so that a name can imitate another one. The joiners (U+200C, U+200D) are
# kept: Persian, Hindi and emoji need them.
_DECEPTIVE = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B, 0x200E, 0x200F, 0x061C, 0xFEFF}


def display_name(raw: str) -> str:
    """The name without path, control and direction characters; at most 200 characters, with its extension."""
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


# A parameter of a header. The quantifiers are possessive: no backtracking, so that the work is linear in the length.
_PARAMETER = re.compile(r';[ \t]*+([^\s;="]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"|([^;]*+))', re.DOTALL)
_QUOTED_PAIR = re.compile(r'\\(["\\])')
# How browsers escape the characters that would end the quotes or the line (HTML, multipart/form-data encoding).
_BROWSER_ESCAPE = re.compile(r"%(22|0D|0A)", re.IGNORECASE)
# An encoded word of RFC 2047, with RFC 2231's language.
_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]{0,20})?\?([bq])\?([^?]*+)\?=", re.IGNORECASE | re.ASCII)
# Python codecs that are not character sets, or need more than linear time.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"})


def disposition_parameters(header: bytes) -> tuple[str | None, str | None]:
    """Field name and file name of a part's Content-Disposition; None for what is missing.

    Of several file names the most expressive is used: `filename*` (RFC 8187), its pieces (RFC 2231), `filename`.
    RFC 7578 forbids the first two, but clients send them, with a `filename` that lacks characters.
    """
    found: dict[str, bytes] = {}
    for name, quoted, token in _PARAMETER.findall(header.decode("latin-1")):
        value = _QUOTED_PAIR.sub(r"\1", quoted) if quoted else token.strip().strip('"')
        found.setdefault(name.lower(), value.encode("latin-1"))
    field = found.get("name")
    return None if field is None else _text(field), _file_name(found)


def given_name(raw: bytes) -> str:
    """A file name as a client sent it: UTF-8 or Latin-1, possibly with encoded words (RFC 2047)."""
    return _without_words(_text(raw))


def _file_name(found: Mapping[str, bytes]) -> str | None:
    pieces = list(_pieces(found))
    extended = _extended(found.get("filename*", b"")) or _extended(b"".join(pieces))
    if extended:
        return extended
    plain = found.get("filename", b"" if pieces or "filename*" in found else None)
    return None if plain is None else _BROWSER_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), given_name(plain))


def _pieces(found: Mapping[str, bytes]) -> Iterator[bytes]:
    """RFC 2231's pieces `filename*0`, `filename*1*` and so on, as one value of RFC 8187."""
    for number in count():
        encoded, plain = found.get(f"filename*{number}*"), found.get(f"filename*{number}")
        if encoded is None and plain is None:
            return
        if number == 0 and encoded is None:
            yield b"utf-8''"
        yield encoded if encoded is not None else quote(plain or b"").encode()


def _extended(value: bytes) -> str | None:
    """The text of a value of RFC 8187, `charset'language'percent-encoded`; None if it is not one."""
    charset, *rest = value.split(b"'", 2)
    if len(rest) != 2:
        return None
    try:
        return unquote_to_bytes(rest[1]).decode(_charset(charset.decode("latin-1")))
    except (LookupError, UnicodeError):
        return None


def _charset(name: str) -> str:
    if name.lower().replace("-", "_") in _NO_CHARSETS:
        raise LookupError(f"{name} is not a character set")
    return name


def _text(raw: bytes) -> str:
    """Decode UTF-8, else the encodings of old western clients."""
    for charset in ("utf-8", "cp1252"):
        try:
            return raw.decode(charset)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _without_words(text: str) -> str:
    """The text with its encoded words decoded; spaces between two of them are removed."""
    decoded: list[str] = []
    run: list[re.Match[str]] = []
    end = 0
    for word in _WORD.finditer(text):
        gap = text[end : word.start()]
        is_joined = bool(run) and not gap.strip()
        if not is_joined or run[0][1].lower() != word[1].lower():
            decoded += (_decoded(run), "" if is_joined else gap)
            run = []
        run.append(word)
        end = word.end()
    return "".join((*decoded, _decoded(run), text[end:]))


def _decoded(words: list[re.Match[str]]) -> str:
    """Decode words of one charset, which may split a character; unchanged if that fails."""
    try:
        raw = b"".join(
            binascii.a2b_base64(word[3] + "==") if word[2] in "bB" else binascii.a2b_qp(word[3], header=True)
            for word in words
        )
        return raw.decode(_charset(words[0][1]), "replace") if words else ""
    except (LookupError, ValueError):
        return "".join(word[0] for word in words)
