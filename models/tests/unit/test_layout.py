"""MODEL_DIR: what is there, what is missing, and what a model's digest stands for."""

import os
from pathlib import Path

import pytest

from models import Format, check, digest, present
from models.errors import ContentRefused
from models.layout import record, verify


def put_folder(model_dir: Path, name: str, content: bytes = b"weights") -> Path:
    folder = model_dir / name
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(content)
    (folder / "config.json").write_text("{}")
    (folder / "vocabulary.json").write_text("[]")
    return folder


def test_the_check_names_what_is_present_and_missing_in_each_form(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt").write_bytes(b"x")
    put_folder(tmp_path, "base")

    report = check(tmp_path)

    assert report.present == {Format.PT: ("tiny",), Format.CT2: ("base",)}
    assert report.missing[Format.PT] == ("base", "small", "medium", "large-v3")
    assert report.missing[Format.CT2] == ("tiny", "small", "medium", "large-v3")
    assert any("present tiny; missing base, small, medium, large-v3" in line for line in report.lines())


def test_a_model_of_our_own_is_served_too(tmp_path: Path) -> None:
    put_folder(tmp_path, "court-hearings")
    assert present(tmp_path, Format.CT2) == ["court-hearings"]


def test_half_a_folder_is_no_model(tmp_path: Path) -> None:
    (put_folder(tmp_path, "base") / "vocabulary.json").unlink()
    assert present(tmp_path, Format.CT2) == []


def test_a_folder_that_does_not_exist_holds_no_models(tmp_path: Path) -> None:
    assert present(tmp_path / "nowhere", Format.PT) == []


def test_the_digest_changes_with_any_file_a_text_depends_on(tmp_path: Path) -> None:
    folder = put_folder(tmp_path, "base")
    before = digest(tmp_path, "base", Format.CT2)
    (folder / "config.json").write_text('{"suppress_ids": []}')
    assert digest(tmp_path, "base", Format.CT2) != before


def test_the_digest_of_an_unchanged_file_is_remembered(tmp_path: Path) -> None:
    pt = tmp_path / "base.pt"
    pt.write_bytes(b"one")
    status = pt.stat()
    before = digest(tmp_path, "base", Format.PT)
    pt.write_bytes(b"two")
    os.utime(pt, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digest(tmp_path, "base", Format.PT) == before
    os.utime(pt, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert digest(tmp_path, "base", Format.PT) != before


def test_verify_tells_where_a_model_came_from_and_refuses_a_changed_one(tmp_path: Path) -> None:
    folder = put_folder(tmp_path, "base")
    assert "not installed by this command" in verify(tmp_path, "base", Format.CT2)
    record(tmp_path, "base", Format.CT2, "a friend's disk")
    assert "a friend's disk" in verify(tmp_path, "base", Format.CT2)
    (folder / "model.bin").write_bytes(b"tampered")
    with pytest.raises(ContentRefused, match="has changed since"):
        verify(tmp_path, "base", Format.CT2)
