"""File names of uploads and downloads."""

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from gateway.files.names import content_disposition, stem
from gateway.uploads.file_names import display_name, disposition_parameters


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("interview.mp3", "interview.mp3"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\Zoë\\call.wav", "call.wav"),
        ("会議 の録音.m4a", "会議 の録音.m4a"),
        ("Zoe\u0308.mp3", "Zo\u00eb.mp3"),
        ("می\u200cخواهم.ogg", "می\u200cخواهم.ogg"),
        ("👩\u200d🎤.mp3", "👩\u200d🎤.mp3"),
        ("a\x00b\r\nSet-Cookie: x\x1b[31m.mp3", "ab Set-Cookie: x[31m.mp3"),
        ("invoice\u202e3pm.exe", "invoice3pm.exe"),
        ("two\u2028lines.mp3", "twolines.mp3"),
        ("  spaced \t out .mp3 ", "spaced out .mp3"),
        ("", "recording"),
        ("..", "recording"),
        ("folder/", "recording"),
        ("x" * 300 + ".flac", "x" * 195 + ".flac"),
        ("x" * 300, "x" * 200),
    ],
)
def test_display_name_removes_paths_and_control_characters(raw: str, shown: str) -> None:
    assert display_name(raw) == shown


MULLER = "M\u00fcller.wav"
MEETING = "\u4f1a\u8b70 \u306e\u9332\u97f3.m4a"


@pytest.mark.parametrize(
    ("client", "parameters", "name"),
    [
        (".NET HttpClient", b"filename=\"=?utf-8?B?TcO8bGxlci53YXY=?=\"; filename*=utf-8''M%C3%BCller.wav", MULLER),
        (".NET, plain letters", b"filename=talk.wav; filename*=utf-8''talk.wav", "talk.wav"),
        (".NET, encoded word alone", b'filename="=?utf-8?B?TcO8bGxlci53YXY=?="', MULLER),
        ("PowerShell 7 -Form", b'filename="=?utf-8?B?5Lya6K2wIOOBrumMsumfsy5tNGE=?="', MEETING),
        (
            "PowerShell 7 -Form, both",
            b"filename=talk.m4a; filename*=utf-8''%E4%BC%9A%E8%AD%B0%20%E3%81%AE%E9%8C%B2%E9%9F%B3.m4a",
            MEETING,
        ),
        ("base64 that holds a slash", b'filename="=?utf-8?B?w7/Dv8O/LndhdiA/?="', "\u00ff\u00ff\u00ff.wav ?"),
        ("ASCII fallback", b"filename=\"Muller.wav\"; filename*=UTF-8''M%C3%BCller.wav", MULLER),
        ("fallback behind", b"filename*=UTF-8''M%C3%BCller.wav; filename=\"Muller.wav\"", MULLER),
        ("requests with urllib3 1", b"filename*=utf-8''M%C3%BCller.wav", MULLER),
        ("requests with urllib3 2", 'filename="M\u00fcller.wav"'.encode(), MULLER),
        ("httpx", 'filename="M\u00fcller.wav"'.encode(), MULLER),
        ("httpx, quotes", b'filename="say %22hi%22.wav"', 'say "hi".wav'),
        ("httpx, backslash", b'filename="a\\\\b.wav"', "a\\b.wav"),
        ("aiohttp", b"filename=\"M%C3%BCller.wav\"; filename*=utf-8''M%C3%BCller.wav", MULLER),
        ("curl", 'filename="M\u00fcller.wav"'.encode(), MULLER),
        ("curl before 7.81, quotes", b'filename="say \\"hi\\".wav"', 'say "hi".wav'),
        ("curl since 7.81, quotes", b'filename="say %22hi%22.wav"', 'say "hi".wav'),
        ("curl in a Latin-1 shell", b'filename="M\xfcller.wav"', MULLER),
        ("Chrome", 'filename="\u4f1a\u8b70 \u306e\u9332\u97f3.m4a"'.encode(), MEETING),
        ("Firefox, line break", b'filename="a%0D%0Ab.wav"', "a\r\nb.wav"),
        ("Safari, decomposed", 'filename="Mu\u0308ller.wav"'.encode(), "Mu\u0308ller.wav"),
        ("Internet Explorer", b'filename="C:\\Users\\me\\new.wav"', "C:\\Users\\me\\new.wav"),
        ("Firefox, percent sign", b'filename="100%.wav"', "100%.wav"),
        ("Chrome, semicolon", b'filename="a;b=c.wav"', "a;b=c.wav"),
        ("Apache HttpClient, extended", 'filename="M\u00fcller.wav"'.encode(), MULLER),
        ("Spring, Q", b'filename="=?UTF-8?Q?M=C3=BCller.wav?="', MULLER),
        ("JavaMail, Q with spaces", b'filename="=?ISO-8859-1?Q?M=FCller_und_ich.wav?="', "M\u00fcller und ich.wav"),
        (
            "JavaMail, several words",
            b'filename="=?UTF-8?B?5Lya6K2wIOOBrumM?= =?UTF-8?B?sumfsy5tNGE=?="',
            MEETING,
        ),
        ("a letter cut in two", b'filename="=?UTF-8?Q?M=C3?= =?UTF-8?Q?=BCller.wav?="', MULLER),
        ("words of two charsets", b'filename="=?iso-8859-1?Q?M=FC?= =?utf-8?B?bGxlci53YXY=?="', MULLER),
        ("a word inside", b'filename="the =?utf-8?q?M=C3=BC?= tape.wav"', "the M\u00fc tape.wav"),
        ("Japanese mail", b'filename="=?ISO-2022-JP?B?GyRCMnE1RBsoQi53YXY=?="', "\u4f1a\u8b70.wav"),
        ("Russian mail", b'filename="=?koi8-r?B?9MXT1C53YXY=?="', "\u0422\u0435\u0441\u0442.wav"),
        ("RFC 2231 pieces", b"filename*0*=utf-8''M%C3%BC; filename*1=ller; filename*2*=%2Ewav", MULLER),
        ("RFC 2231, plain pieces", b'filename*0="long "; filename*1="name.wav"', "long name.wav"),
        ("RFC 8187 in Latin-1", b"filename*=iso-8859-1'de'M%FCller.wav", MULLER),
        ("RFC 8187 in quotes", b"filename*=\"utf-8''M%C3%BCller.wav\"", MULLER),
        ("RFC 8187 that is broken", b"filename=\"good.wav\"; filename*=utf-8''M%FCller.wav", "good.wav"),
        ("RFC 8187 that is empty", b"filename=\"good.wav\"; filename*=utf-8''", "good.wav"),
        ("an unknown charset", b"filename=\"good.wav\"; filename*=klingon''x.wav", "good.wav"),
        ("a word of an unknown charset", b'filename="=?klingon?q?x.wav?="', "=?klingon?q?x.wav?="),
        ("a codec that is no charset", b'filename="=?unicode_escape?q?x=5Cx41?="', "=?unicode_escape?q?x=5Cx41?="),
        ("Go mime/multipart", b'filename="say \\"hi\\".wav"', 'say "hi".wav'),
        ("node form-data", 'filename="M\u00fcller.wav"'.encode(), MULLER),
        ("okhttp", 'filename="M\u00fcller %22x%22.wav"'.encode(), 'M\u00fcller "x".wav'),
        ("no quotes", b"filename=talk.wav", "talk.wav"),
        ("spaces and capitals", b'FileName = "talk.wav" ; x=y', "talk.wav"),
        ("said twice", b'filename="first.wav"; filename="second.wav"', "first.wav"),
        ("nothing", b'filename=""', ""),
        ("no closing quote", b'filename="talk.wav', "talk.wav"),
    ],
)
def test_file_name_of_every_known_client_is_read(client: str, parameters: bytes, name: str) -> None:
    for field in (b'name="file"', b"name=file"):
        assert disposition_parameters(b"form-data; " + field + b"; " + parameters) == ("file", name), client


@pytest.mark.parametrize(
    ("header", "parameters"),
    [
        (b'form-data; name="model"', ("model", None)),
        (b"", (None, None)),
        (b"form-data", (None, None)),
        (b"form-data; filename*=UTF-8''x.wav", (None, "x.wav")),
    ],
)
def test_missing_parameters_are_none(header: bytes, parameters: tuple[str | None, str | None]) -> None:
    assert disposition_parameters(header) == parameters


@pytest.mark.parametrize(
    "encoded",
    [
        b"filename*=utf-8''..%2F..%2Fetc%2Fpasswd",
        b'filename="=?utf-8?B?Li4vLi4vZXRjL3Bhc3N3ZA==?="',
        b'filename="=?utf-8?Q?..=5Cetc=5Cpasswd?="',
    ],
)
def test_paths_are_removed_after_decoding(encoded: bytes) -> None:
    _, name = disposition_parameters(b"form-data; name=file; " + encoded)
    assert name is not None
    assert display_name(name) == "passwd"


@pytest.mark.parametrize(
    "hostile",
    [
        lambda size: b'name="model"; x="' + b";" * size,
        lambda size: b'name="model"; x="' + b"\\" * size,
        lambda size: b'name="model"' + b"; " * size,
        lambda size: b'name="model"; filename="' + b"=?" * size + b'"',
        lambda size: b'name="model"; filename="' + b"=?x?q?" * size + b'"',
    ],
)
def test_number_of_calls_does_not_depend_on_the_length_of_a_hostile_head(hostile: Callable[[int], bytes]) -> None:
    """The number of Python calls is constant; the work per character is done by expressions without backtracking."""

    def calls(header: bytes) -> int:
        seen = 0

        def count(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal seen
            seen += event in ("call", "c_call")

        gc.disable()  # finalizers of earlier tests would be counted
        sys.setprofile(count)
        try:
            disposition_parameters(header)
        finally:
            sys.setprofile(None)
            gc.enable()
        return seen

    disposition_parameters(hostile(10))  # what is compiled or imported once
    assert calls(b"form-data; " + hostile(4000)) == calls(b"form-data; " + hostile(1000)) < 100


@pytest.mark.parametrize(
    ("name", "front"), [("a.mp3", "a"), ("a.b.mp3", "a.b"), ("README", "README"), (".mp3", ".mp3")]
)
def test_stem_is_the_name_without_the_last_extension(name: str, front: str) -> None:
    assert stem(name) == front


def test_disposition_has_an_ascii_name_and_the_name_in_utf8() -> None:
    assert content_disposition("attachment", "Zoë 会議.srt") == (
        "attachment; filename=\"Zoe .srt\"; filename*=UTF-8''Zo%C3%AB%20%E4%BC%9A%E8%AD%B0.srt"
    )
    assert content_disposition("inline", "会議.txt") == (
        "inline; filename=\"transcript.txt\"; filename*=UTF-8''%E4%BC%9A%E8%AD%B0.txt"
    )


def test_file_name_cannot_inject_into_the_disposition() -> None:
    header = content_disposition("attachment", 'a"; filename=evil.exe; x="\\%.txt')
    assert header.count('"') == 2
    assert "\\" not in header
    assert header.isascii()
