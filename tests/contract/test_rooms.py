"""All services have the same layout: the allowed rooms, packages named by nouns, and files of readable length."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = ("__init__.py", "__main__.py", "app.py", "settings.py", "metrics.py")
BANNED = ("models.py", "utils.py", "helpers.py", "misc.py", "handlers.py", "common.py")
LIMIT = 450  # lines; about 300 is the aim

# Packages of each service beside the rooms of scripts/contracts.py.
PACKAGES: dict[str, set[str]] = {
    "auth": {"access", "accounts", "credentials", "keys"},
    "cleanup": {"files", "sweeps"},
    "gateway": {"edge", "files", "logs", "relay", "uploads"},
    "jobs": {"logs", "loops", "scheduling", "search"},
    "metadata": {"analysis", "loops", "text"},
    "transcriber": {"audio", "decoding", "engines", "speech", "text", "work"},
}
# Modules beside the rooms.
MODULES: dict[str, set[str]] = {"jobs": {"states"}}

SERVICES = tuple(PACKAGES)
contracts: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "contracts.py"))


def package_of(service: str) -> Path:
    """The folder of a service's code."""
    return ROOT / "services" / service / "src" / service


def misplaced(service: str) -> list[str]:
    """Modules and packages at the top level of a service that are neither rooms nor listed here."""
    found: dict[str, Path] = contracts["entries"](package_of(service))
    others = {name: path for name, path in found.items() if name not in contracts["ROOMS"]}
    allowed = {*PACKAGES[service], *MODULES.get(service, ())}
    return [
        str(path.relative_to(ROOT))
        for name, path in others.items()
        if name not in allowed or path.is_dir() != (name in PACKAGES[service])
    ]


def sources() -> list[Path]:
    """Every Python file of the project, including tests and programs."""
    folders = ("libs", "services", "models", "deploy", "tests", "scripts")
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts]


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_the_required_rooms(service: str) -> None:
    missing = [room for room in REQUIRED if not (package_of(service) / room).is_file()]
    assert not missing, f"{service} lacks {missing}"
    assert (ROOT / "services" / service / "README.md").is_file()


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_only_allowed_rooms_and_listed_packages(service: str) -> None:
    assert not misplaced(service)
    missing = [name for name in PACKAGES[service] if not (package_of(service) / name).is_dir()]
    assert not missing, f"{service} has no packages {missing}: remove them from the list"


def test_every_service_is_checked() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml")}
    assert folders == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_service_with_tables_has_migrations(service: str) -> None:
    package = package_of(service)
    assert (package / "tables.py").is_file() == (package / "migrations" / "env.py").is_file()


def test_map_of_rooms_in_architecture_is_the_folder_listing() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    _, _, rest = page.partition(f"{contracts['ROOMS_BEGIN']}\n")
    written, _, _ = rest.partition(f"\n{contracts['ROOMS_END']}")
    assert written == contracts["rooms_map"](), "run python scripts/contracts.py"


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


def test_every_module_has_a_docstring() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if (text := path.read_text().strip()) and not text.startswith(('"""', 'r"""', "#!"))
    ]
    assert not silent
