"""The transcript as a Word document: a heading, and paragraphs that begin with their time."""

import io
import unicodedata
import zipfile
from collections.abc import Iterable
from typing import Final

from docx import Document
from docx.shared import RGBColor

_TIME_COLOUR: Final = RGBColor(0x6B, 0x72, 0x80)
# The oldest time that a zip archive can hold: the same transcript is the same bytes whenever it is written.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)


def write(title: str, paragraphs: Iterable[tuple[str, str]]) -> bytes:
    """Write paragraphs, each with the clock time at which it begins, under a title."""
    document = Document()
    document.core_properties.title = title
    document.core_properties.author = ""
    document.add_heading(title, level=1)
    for begins, text in paragraphs:
        paragraph = document.add_paragraph()
        paragraph.add_run(f"{begins}  ").font.color.rgb = _TIME_COLOUR
        paragraph.add_run(_printable(text))
    packed = io.BytesIO()
    document.save(packed)
    return _timeless(packed)


def _timeless(packed: io.BytesIO) -> bytes:
    """The same archive without times, and stored: compressed bytes would depend on the machine's zlib."""
    plain = io.BytesIO()
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as target:
        for item in source.infolist():
            target.writestr(zipfile.ZipInfo(item.filename, _NO_TIME), source.read(item))
    return plain.getvalue()


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(mark for mark in text if unicodedata.category(mark) not in ("Cc", "Cs", "Cn"))
