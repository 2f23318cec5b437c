"""File names are shown, never trusted."""

import pytest

from gateway.file_names import content_disposition, display_name, disposition_parameters, stem


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
def test_name_keeps_its_letters_and_loses_paths_and_controls(raw: str, shown: str) -> None:
    assert display_name(raw) == shown


@pytest.mark.parametrize(
    ("header", "parameters"),
    [
        (b'form-data; name="file"; filename="a.mp3"', ("file", "a.mp3")),
        ('form-data; name="file"; filename="Zoë; 会議.mp3"'.encode(), ("file", "Zoë; 会議.mp3")),
        (b'form-data; name="file"; filename="say \\"hi\\".mp3"', ("file", 'say "hi".mp3')),
        (b'form-data; name="file"; filename="say %22hi%22.mp3"', ("file", 'say "hi".mp3')),
        (b'form-data; name="file"; filename="100%.mp3"', ("file", "100%.mp3")),
        (b"form-data; name=file; filename*=UTF-8''Zo%C3%AB.mp3", ("file", "Zoë.mp3")),
        (b"form-data; name=file; filename=plain.mp3; filename*=UTF-8''other.mp3", ("file", "plain.mp3")),
        (b'form-data; name="file"; filename=""', ("file", "")),
        (b'form-data; name="model"', ("model", None)),
        (b"", (None, None)),
        (b'form-data; name="file"; filename="\xff\xfe.mp3"', ("file", "\ufffd\ufffd.mp3")),
    ],
)
def test_part_head_is_read_as_browsers_and_curl_write_it(
    header: bytes, parameters: tuple[str | None, str | None]
) -> None:
    assert disposition_parameters(header) == parameters


@pytest.mark.parametrize(
    ("name", "front"), [("a.mp3", "a"), ("a.b.mp3", "a.b"), ("README", "README"), (".mp3", ".mp3")]
)
def test_stem_is_what_stands_before_the_last_extension(name: str, front: str) -> None:
    assert stem(name) == front


def test_disposition_has_an_ascii_name_for_old_clients_and_the_true_one() -> None:
    assert content_disposition("attachment", "Zoë 会議.srt") == (
        "attachment; filename=\"Zoe .srt\"; filename*=UTF-8''Zo%C3%AB%20%E4%BC%9A%E8%AD%B0.srt"
    )
    assert content_disposition("inline", "会議.txt") == (
        "inline; filename=\"transcript.txt\"; filename*=UTF-8''%E4%BC%9A%E8%AD%B0.txt"
    )


def test_disposition_cannot_be_broken_out_of() -> None:
    header = content_disposition("attachment", 'a"; filename=evil.exe; x="\\%.txt')
    assert header.count('"') == 2
    assert "\\" not in header
    assert header.isascii()
