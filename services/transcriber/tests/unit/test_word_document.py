"""The Word document: valid, and the same bytes every time."""

import io
import time
import zipfile

from docx import Document

from transcriber.text import word_document
from transcriber.text.formats import FORMATS

TRANSCRIPT = {
    "language": "en",
    "task": "transcribe",
    "segments": [
        {"start": 0.0, "end": 1.0, "text": "One & <two>."},
        {"start": 1.0, "end": 2.0, "text": "Three\x0b\tfour."},
        {"start": 3725.0, "end": 3726.0, "text": "Später: 明日 🙂"},
    ],
}


def test_paragraphs_carry_their_times() -> None:
    write, content_type = FORMATS["docx"]
    assert content_type.endswith("wordprocessingml.document")
    document = Document(io.BytesIO(write(TRANSCRIPT)))
    assert [paragraph.text for paragraph in document.paragraphs] == [
        "Transcript",
        "00:00:00  One & <two>. Three four.",
        "01:02:05  Später: 明日 🙂",
    ]


def test_the_bytes_depend_on_the_text_alone() -> None:
    first = word_document.write("T", [("00:00:00", "a")])
    later = time.time() + 3
    while time.time() < later:  # zip archives tell times two seconds apart
        time.sleep(0.5)
    assert word_document.write("T", [("00:00:00", "a")]) == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {item.compress_type for item in archive.infolist()} == {zipfile.ZIP_STORED}


def test_control_characters_are_removed() -> None:
    data = word_document.write("T", [("00:00:00", "a\x00b\ud800c\x1b")])
    assert Document(io.BytesIO(data)).paragraphs[1].text == "00:00:00  abc"
