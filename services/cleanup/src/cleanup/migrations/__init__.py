"""Alembic history of the cleanup service's schema."""
