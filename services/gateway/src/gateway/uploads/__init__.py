"""Recordings that arrive: as a form, or in pieces (tus)."""
