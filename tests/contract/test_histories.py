"""Each service's schema has one history: no two migrations follow the same one, and they are numbered in order."""

from importlib.resources import files

import pytest
from alembic.script import ScriptDirectory

from common import database

SERVICES = ["auth", "cleanup", "jobs", "metadata"]


@pytest.mark.parametrize("service", SERVICES)
def test_history_has_one_end(service: str) -> None:
    heads = ScriptDirectory(str(files(service) / "migrations")).get_heads()
    assert len(heads) == 1, f"{service}: let one of {', '.join(heads)} follow the other (down_revision)"


@pytest.mark.parametrize("service", SERVICES)
def test_revisions_are_numbered_in_order(service: str) -> None:
    versions = files(service) / "migrations" / "versions"
    names = sorted(file.name for file in versions.iterdir() if file.name.endswith(".py"))
    numbers = [f"{service}_{number:04}" for number in range(1, len(names) + 1)]
    assert [name[: len(numbers[0])] for name in names] == numbers, "give the later of two branches the next number"
    assert database.revisions(f"{service}.migrations") == numbers
