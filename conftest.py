"""Loads the fixtures that every member's tests share."""

import models  # noqa: F401 (first, or pytest takes the folder models/ for the package of that name)

pytest_plugins = ["native.testing"]
