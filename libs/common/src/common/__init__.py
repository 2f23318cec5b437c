"""Plumbing and contracts that every Verbatim service shares."""
