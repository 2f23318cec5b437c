"""Enrichment as a pure function of a transcript: statistics, keywords, summary."""
