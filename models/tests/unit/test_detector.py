"""The voice detector's weights: only the published file is used, wherever it comes from."""

import hashlib
from pathlib import Path

import pytest

from models import detector, sources
from models.__main__ import main
from models.errors import ContentRefused, SourceUnavailable


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the published one."""
    path = tmp_path / "downloaded.onnx"
    path.write_bytes(b"the weights")
    monkeypatch.setattr(detector, "SHA256", hashlib.sha256(b"the weights").hexdigest())
    return path


def test_a_file_is_put_in_place_and_found(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    assert main(["get", detector.NAME, "--from", str(published), "--model-dir", str(folder)]) == 0
    assert detector.find(folder).read_bytes() == b"the weights"
    assert [entry.name for entry in folder.iterdir()] == [detector.FILE]


def test_a_file_that_is_there_is_kept(published: Path, tmp_path: Path) -> None:
    published.rename(tmp_path / detector.FILE)
    detector.install(tmp_path, print, path=tmp_path / "nowhere")
    assert detector.find(tmp_path).is_file()


def test_another_file_is_refused_and_replaced(published: Path, tmp_path: Path) -> None:
    (tmp_path / detector.FILE).write_bytes(b"something else")
    with pytest.raises(ContentRefused, match="SHA-256"):
        detector.find(tmp_path)
    detector.install(tmp_path, print, path=published)
    assert detector.find(tmp_path).read_bytes() == b"the weights"


def test_another_file_is_not_brought_in(published: Path, tmp_path: Path) -> None:
    published.write_bytes(b"something else")
    with pytest.raises(ContentRefused, match="is not the published one"):
        detector.install(tmp_path / "models", print, path=published)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_missing_detector_names_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="python -m models get silero-vad"):
        detector.find(tmp_path)


def test_the_package_is_pinned_by_hash_and_names_no_host() -> None:
    text = (Path(sources.__file__).parent / "packages" / f"{detector.NAME}.txt").read_text()
    (pinned,) = [line for line in text.splitlines() if not line.startswith("#")]
    assert "==" in pinned
    assert "--hash=sha256:" in pinned
    assert "://" not in pinned
