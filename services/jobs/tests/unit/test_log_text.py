"""Log records as text: one line each, for any content."""

from jobs.logs.text import line_of

RECORD = {
    "log_id": "0" * 32,
    "timestamp": "2026-11-22T16:05:01.123456+00:00",
    "level": "info",
    "event": "chunk decoded",
    "service": "transcriber",
    "instance": "host-1",
    "logger": "transcriber.work",
    "correlation_id": "c",
    "chunk": 3,
}


def test_a_record_is_one_readable_line() -> None:
    assert line_of(RECORD) == "2026-11-22 16:05:01.123 INFO    transcriber chunk decoded chunk=3\n"


def test_ambiguous_values_are_quoted() -> None:
    line = line_of(RECORD | {"file": "a talk.mp3", "empty": "", "none": None, "list": [1, "x"]})
    assert line.endswith('chunk=3 file="a talk.mp3" empty="" none=null list=[1,"x"]\n')


def test_no_value_can_start_a_new_line() -> None:
    forged = RECORD | {
        "event": "a\n2026 forged",
        "who": "x\r\ny",
        "es\ncape": "\x1b[2J",
        "exception": "Error: a\rb\n  c",
    }
    first, *rest = line_of(forged).removesuffix("\n").split("\n")
    assert "a\\n2026 forged" in first
    assert "\x1b" not in first
    assert "\r" not in first
    assert rest == ["    Error: a", "    b", "      c"]
