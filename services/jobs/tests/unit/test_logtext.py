"""Log records as text: one line each, whatever is in them."""

from jobs.logtext import line_of

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


def test_a_record_is_a_line_for_people() -> None:
    assert line_of(RECORD) == "2026-11-22 16:05:01.123 INFO    transcriber chunk decoded chunk=3\n"


def test_values_that_would_blur_the_line_are_quoted() -> None:
    line = line_of(RECORD | {"file": "a talk.mp3", "empty": "", "none": None, "list": [1, "x"]})
    assert line.endswith('chunk=3 file="a talk.mp3" empty="" none=null list=[1,"x"]\n')


def test_nothing_in_a_record_can_pass_for_another_line() -> None:
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
