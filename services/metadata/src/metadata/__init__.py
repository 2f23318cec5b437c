"""Enrichment of finished transcripts: statistics, keywords, summary; analysis on request."""
