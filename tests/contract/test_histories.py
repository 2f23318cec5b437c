"""Each service's schema has one history: no two migrations follow on the same one."""

from importlib.resources import files

import pytest
from alembic.script import ScriptDirectory


@pytest.mark.parametrize("service", ["auth", "cleanup", "jobs", "metadata"])
def test_history_has_one_end(service: str) -> None:
    heads = ScriptDirectory(str(files(service) / "migrations")).get_heads()
    assert len(heads) == 1, f"{service}: let one of {', '.join(heads)} follow on the other (down_revision)"
