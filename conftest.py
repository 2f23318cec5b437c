"""Loads the fixtures that every member's tests share, and says which tests may run beside each other."""

import pytest

import models  # noqa: F401 (first, or pytest takes the folder models/ for the package of that name)

pytest_plugins = ["native.testing"]

# What whole platforms are shared by: one of each is started, for all its tests in a row.
FLEETS = ("shared_platform", "quick_fleet", "fleet")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests, and those of one fleet, in one process; begin with what takes longest."""
    order = {}
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        shared = next((name for name in FLEETS if name in fixtures), None)
        group = shared or str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
        markers = {marker.name for marker in item.iter_markers()}
        length = 0 if {"e2e", "chaos"} & markers else 1 if "integration" in markers else 2
        order[item] = (length, FLEETS.index(shared) if shared else len(FLEETS), group)
    items.sort(key=lambda item: order[item])
