"""Signing keys: encryption at rest and rotation."""
