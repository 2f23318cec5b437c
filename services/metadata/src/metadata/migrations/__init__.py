"""Alembic history of the metadata service's schema."""
