"""Retention, deletion and the collection of orphaned objects."""
