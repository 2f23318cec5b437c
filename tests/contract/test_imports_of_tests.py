"""Tests of a service import no other service, tests of common no service, and each wait helper exists once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("auth", "cleanup", "gateway", "jobs", "metadata", "transcriber")
FOLDERS = {f"services/{service}/tests": set(SERVICES) - {service} for service in SERVICES} | {
    folder: set(SERVICES) for folder in ("libs/common/tests", "libs/common/src/common/testing", "models/tests")
}


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("folder", FOLDERS)
def test_tests_import_no_service_but_their_own(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    foreign = {str(path.relative_to(ROOT)): found for path in files if (found := FOLDERS[folder] & set(imported(path)))}
    assert not foreign


def test_waits_are_those_of_common_testing() -> None:
    """A loop with a deadline and a sleep in a test is a copy of `eventually`."""
    names = {"until", "eventually", "wait_until", "wait_for"}
    defined = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for folder in ("libs/common/tests", "services", "models/tests", "deploy/native/tests", "tests")
        for path in (ROOT / folder).rglob("tests/**/*.py" if folder == "services" else "*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in names
    ]
    assert not defined
