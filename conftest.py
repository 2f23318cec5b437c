"""Loads the fixtures that every member's tests share, and says which tests may run beside each other."""

import pytest

import models  # noqa: F401 (first, or pytest takes the folder models/ for the package of that name)

pytest_plugins = ["native.testing"]

FLEETS = ("fleet", "quick_fleet", "shared_platform")  # whole platforms: one of each, started once


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests, and those of one fleet, in one process; begin with what takes longest."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        group = next((name for name in FLEETS if name in fixtures), str(item.path))
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_length)


def _length(item: pytest.Item) -> int:
    markers = {marker.name for marker in item.iter_markers()}
    return 0 if {"e2e", "chaos"} & markers else 1 if "integration" in markers else 2
