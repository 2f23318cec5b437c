"""Loads the fixtures that every member's tests share, and groups the tests that must not run side by side."""

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

import models  # noqa: F401 (first, or pytest takes the folder models/ for the package of that name)
from support.fleets import stop_platform

pytest.register_assert_rewrite("common.testing")
pytest_plugins = ["native.testing", "common.testing.fixtures"]

# Several test processes share the cores: libraries that compute with a thread per core would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Files that share a platform stay in one process, so that it is started once. They run in this order: those that change
# or end the platform are last.
TOGETHER = {
    "tests/e2e/test_api_walkthrough.py": "quick_fleet",
    "tests/e2e/test_backup_and_restore.py": "quick_fleet",
    "tests/e2e/test_restart_with_another_model.py": "quick_fleet",
    "tests/e2e/test_surface_under_random_requests.py": "quick_fleet",
    "tests/e2e/test_administration.py": "quick_fleet",
    "tests/e2e/test_distributed_equals_single.py": "fleet",
    "tests/e2e/test_hostile_recordings.py": "fleet",
    "tests/e2e/test_jobs_again.py": "fleet",
    "tests/e2e/test_recording_becomes_text.py": "fleet",
    "tests/e2e/test_torch_engine.py": "fleet",
    "tests/e2e/test_verified_transcripts.py": "fleet",
}
# So do whole folders.
FOLDERS = {
    "tests/chaos/": "chaos",
    "tests/security/": "quick_fleet",
    "services/gateway/tests/integration/": "gateway",
}
_ORDER = list(TOGETHER)


def _group(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return next((group for folder, group in FOLDERS.items() if path.startswith(folder)), TOGETHER.get(path, path))


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Puts the logging of this process back as it was before the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist's classes have no types
    """Hands out whole groups of tests to the processes."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Spread the tests by group; pytest-xdist's own groups do nothing with this pytest."""
    return Groups(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put groups together, and begin with what takes longest."""
    items.sort(key=_turn)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop the platform when the tests that may need one are over: idle it still takes its part of the cores."""
    if not _on_platform(item):
        stop_platform()


def _on_platform(item: pytest.Item) -> bool:
    return item.get_closest_marker("e2e") is not None or item.get_closest_marker("chaos") is not None


def _turn(item: pytest.Item) -> tuple[int, bool, str, int]:
    group, path = _group(item.nodeid), item.nodeid.partition("::")[0]
    length = 0 if _on_platform(item) else 1 if item.get_closest_marker("integration") else 2
    return length, "/" in group, group, _ORDER.index(path) if path in TOGETHER else 0
