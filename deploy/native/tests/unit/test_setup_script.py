"""`make setup`: what it selects from the lock, when it runs again, and its errors."""

import importlib.util
import json
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import pytest

from native.settings import CHECKOUT


@pytest.fixture
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verbatim_setup", CHECKOUT / "scripts/setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(requirements: str) -> set[str]:
    return {line.split("==")[0] for line in requirements.splitlines() if "==" in line}


def test_the_lock_is_selected_from_by_section(setup: ModuleType) -> None:
    runtime, dev, whisper = (names(setup.section(name)) for name in ("runtime", "dev", "whisper"))
    assert {"fastapi", "aio-pika", "hatchling"} <= runtime
    assert {"pytest", "mypy", "setuptools"} <= dev
    assert whisper == {"openai-whisper"}
    assert not runtime & dev
    assert not (runtime | dev) & {"torch", "triton"}


def test_every_locked_package_has_a_hash_and_no_index_is_named(setup: ModuleType) -> None:
    text = setup.LOCK.read_text()
    assert "://" not in text
    assert len(names(text)) <= text.count("--hash=sha256:")


def test_packages_are_installed_again_when_the_lock_changes(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = setup.fingerprint()
    assert setup.fingerprint() == before
    lock = tmp_path / "requirements.lock"
    lock.write_text(setup.LOCK.read_text() + "\n# changed\n")
    monkeypatch.setattr(setup, "LOCK", lock)
    monkeypatch.setattr(setup, "ROOT", Path("/"))
    assert setup.fingerprint() != before


def test_an_old_python_is_refused_in_one_sentence(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    version = namedtuple("version", "major minor micro releaselevel serial")
    monkeypatch.setattr(sys, "version_info", version(3, 9, 2, "final", 0))
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, and this is 3\.9.*PYTHON=python3\.11"):
        setup.main()


def test_a_missing_broker_that_cannot_be_installed_is_named_in_one_sentence(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "broker_is_here", lambda: False)
    monkeypatch.setattr(setup, "as_root", lambda: None)
    with pytest.raises(SystemExit, match="install the package rabbitmq-server"):
        setup.install_broker()


def test_a_broken_stamp_means_that_nothing_is_done_yet(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "STAMP", tmp_path / "stamp")
    assert setup.read_stamp() == {}
    setup.STAMP.write_text("{")
    assert setup.read_stamp() == {}
    setup.write_stamp({"runtime": "x"})
    assert setup.read_stamp() == json.loads(setup.STAMP.read_text()) == {"runtime": "x"}


@pytest.fixture
def broken_page(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout whose page fails its type check in the build."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web/package-lock.json").write_text("{}")
    for name, script in (("node", "echo v22.0.0"), ("npm", "echo 'App.tsx(1,7): error TS2322: no.'; [ $1 = ci ]")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.usefixtures("broken_page")
def test_a_page_that_cannot_be_built_ends_the_set_up_for_tests(
    setup: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="the web page cannot be built: `npm run build"):
        setup.build_page(dev=True)
    assert "error TS2322" in capfd.readouterr().err


@pytest.mark.usefixtures("broken_page")
def test_a_page_that_cannot_be_built_does_not_keep_the_platform_from_running(
    setup: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    setup.build_page(dev=False)
    assert "the API serves alone" in "".join(capfd.readouterr())
