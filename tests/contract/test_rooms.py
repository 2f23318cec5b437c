"""A reader who knows one service knows all six: required rooms are there, banned names are not, files stay readable."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("auth", "cleanup", "gateway", "jobs", "metadata", "transcriber")
REQUIRED = ("__init__.py", "__main__.py", "app.py", "settings.py", "metrics.py")
BANNED = ("models.py", "utils.py", "helpers.py", "misc.py", "handlers.py", "common.py")
LIMIT = 450  # lines; about 300 is the aim


def sources() -> list[Path]:
    """Every Python file that we wrote, tests and programs included."""
    folders = ("libs", "services", "models", "deploy", "tests", "scripts")
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts]


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_the_required_rooms(service: str) -> None:
    package = ROOT / "services" / service / "src" / service
    missing = [room for room in REQUIRED if not (package / room).is_file()]
    assert not missing, f"{service} lacks {missing}"
    assert (ROOT / "services" / service / "README.md").is_file()


@pytest.mark.parametrize("service", SERVICES)
def test_service_with_tables_has_migrations(service: str) -> None:
    package = ROOT / "services" / service / "src" / service
    assert (package / "tables.py").is_file() == (package / "migrations" / "env.py").is_file()


def test_no_banned_room_names() -> None:
    banned = [str(path.relative_to(ROOT)) for path in sources() if path.name in BANNED]
    assert not banned


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if (lines := len(path.read_text().splitlines())) > LIMIT
    }
    assert not long


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if (text := path.read_text().strip()) and not text.startswith(('"""', 'r"""', "#!"))
    ]
    assert not silent
