"""Uploads of recordings: as a form, or resumable (tus)."""
