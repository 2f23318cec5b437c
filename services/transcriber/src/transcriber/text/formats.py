"""The download formats of a transcript, from JSON to Word; the same transcript gives the same bytes."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from common.text.joining import joined
from common.text.sentences import ends_sentence

from . import word_document
from .cues import Cue, cues
from .documents import canonical_json

_PAUSE: Final = 2.0  # seconds of silence that begin a new paragraph
# Cells that a spreadsheet computes when it opens the file. After + or - only a call of a function, a program or another
# sheet is dangerous: "-5 degrees" and "- Yes!" stay unchanged. Quotes around a cell are ignored.
_FORMULA: Final = re.compile(r"[\"'\s]*(?:[=@＝＠]|[-+＋－](?=.*(?:\w\(|[|=]|!\$?[A-Z]+\$?\d)))")
_FULL: Final = 600  # characters after which the next sentence begins a new paragraph

Document = dict[str, Any]


def to_json(transcript: Document) -> bytes:
    """The transcript document itself."""
    return canonical_json(transcript)


def to_srt(transcript: Document) -> bytes:
    """SubRip: numbered cues; the format has no escapes, so its arrow is replaced in the text."""
    shown = (
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_cue_text(cue).replace('-->', '→')}\n"
        for number, cue in enumerate(cues(transcript["segments"], transcript["duration_seconds"]), start=1)
    )
    return "\n".join(shown).encode()


def to_vtt(transcript: Document) -> bytes:
    """WebVTT, with markup characters escaped."""
    shown = (
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escape_markup(_cue_text(cue))}\n"
        for cue in cues(transcript["segments"], transcript["duration_seconds"])
    )
    return "\n".join(("WEBVTT\n", *shown)).encode()


def to_tsv(transcript: Document) -> bytes:
    """Tab separated values with a header: start and end in milliseconds, text.

    A text that a spreadsheet would compute gets an apostrophe in front, which spreadsheets do not show.
    """
    rows = (
        f"{_milliseconds(segment['start'])}\t{_milliseconds(segment['end'])}\t{_escape_formula(_one_line(segment['text']))}\n"
        for segment in transcript["segments"]
    )
    return ("start\tend\ttext\n" + "".join(rows)).encode()


def to_txt(transcript: Document) -> bytes:
    """Running text in paragraphs: a new one after a pause, or at a sentence end when it gets long."""
    paragraphs = (_text(group) for group in _paragraphs(transcript))
    return "\n".join(f"{paragraph}\n" for paragraph in paragraphs).encode()


def to_docx(transcript: Document) -> bytes:
    """A Word document: the same paragraphs as the text, each with its start time."""
    paragraphs = [(_clock(group[0]["start"], ".").partition(".")[0], _text(group)) for group in _paragraphs(transcript)]
    return word_document.write("Transcript", paragraphs)


FORMATS: Final[Mapping[str, tuple[Callable[[Document], bytes], str]]] = MappingProxyType(
    {
        "json": (to_json, "application/json"),
        "srt": (to_srt, "application/x-subrip; charset=utf-8"),
        "vtt": (to_vtt, "text/vtt; charset=utf-8"),
        "txt": (to_txt, "text/plain; charset=utf-8"),
        "tsv": (to_tsv, "text/tab-separated-values; charset=utf-8"),
        "docx": (to_docx, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    }
)
"""Every format: how to write it, and its content type."""


def _paragraphs(transcript: Document) -> Iterator[list[Document]]:
    group: list[Document] = []
    length, end = 0, 0.0
    for segment in transcript["segments"]:
        full = length >= _FULL and ends_sentence(group[-1]["text"], segment["text"], _language(transcript, group[-1]))
        if group and (segment["start"] - end >= _PAUSE or full):
            yield group
            group, length = [], 0
        group.append(segment)
        length, end = length + len(_one_line(segment["text"])), segment["end"]
    if group:
        yield group


def _language(transcript: Document, segment: Document) -> str | None:
    """The language of a segment's text: a translation is English."""
    return "en" if transcript["task"] == "translate" else segment.get("language", transcript["language"])


def _text(segments: list[Document]) -> str:
    return joined(_one_line(segment["text"]) for segment in segments)


def _cue_text(cue: Cue) -> str:
    return "\n".join(cue.lines)


def _one_line(text: str) -> str:
    """Join the text to one line: line breaks and tabs would end a cue or a column."""
    return " ".join(text.split())


def _escape_formula(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _escape_markup(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _clock(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(_milliseconds(seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"
