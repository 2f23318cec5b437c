"""The log archive: writing it, reading it, and its records as text."""
