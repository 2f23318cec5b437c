"""Loads the fixtures that every member's tests share."""

pytest_plugins = ["native.testing"]
