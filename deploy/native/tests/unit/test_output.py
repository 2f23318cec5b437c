"""The output of the command line: log records as lines, tails of files, tables."""

from pathlib import Path

import pytest

from native.console import Console, Tail, aligned
from native.demo import find_recording, readable
from native.programs import ProgramError
from native.settings import NativeSettings


def test_a_log_record_reads_as_one_line() -> None:
    record = {
        "log_id": "1", "timestamp": "2026-11-22T12:00:01.5+00:00", "level": "info", "event": "chunk decoded",
        "service": "transcriber", "instance": "transcriber-1", "correlation_id": "c", "trace_id": "t", "job_id": "j",
        "logger": "transcriber.worker", "chunk": 3, "seconds": 1.23456, "note": None,
    }  # fmt: skip
    assert readable(record) == "12:00:01  transcriber-1  chunk decoded  chunk=3  seconds=1.23"


def test_a_warning_is_marked_and_long_values_are_cut() -> None:
    line = readable({"level": "warning", "event": "slow", "service": "jobs", "detail": "x" * 200 + "\n"})
    assert "WARNING slow" in line
    assert len(line) < 120
    assert "\n" not in line


def test_a_tail_gives_whole_new_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    tail = Tail(path)
    with path.open("a") as file:
        file.write("first\nsec")
    assert tail.read_lines() == ["first"]
    with path.open("a") as file:
        file.write("ond\n")
    assert tail.read_lines() == ["second"]
    path.write_text("new\n")  # replaced by a shorter file
    assert tail.read_lines() == ["new"]


def test_a_tail_waits_for_a_file_that_does_not_exist_yet(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "later")
    assert tail.read_lines() == []
    (tmp_path / "later").write_text("here\n")
    assert tail.read_lines() == ["here"]


def test_lines_carry_the_name_of_their_program(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(["jobs", "gateway"])
    console.say("jobs", "ready")
    console.output("gateway", "hello")
    assert capsys.readouterr().out == "jobs    » ready\ngateway │ hello\n"


def test_columns_are_aligned() -> None:
    assert aligned([["a", "1"], ["long", "22"]]) == "  a     1\n  long  22"


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"missing\.wav does not exist"):
        find_recording(tmp_path / "missing.wav", NativeSettings())


def test_the_bundled_sample_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAMPLE", raising=False)
    assert find_recording(None, NativeSettings()).is_file()
